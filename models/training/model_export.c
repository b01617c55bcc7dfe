/* A trained model as C: the recording of one row, scaling inside, names and labels around it. */
#define TG_HERE NULL
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

#include "../../graph/file.h"

enum { TEST_ROWS = 4 };

/* ---------------------------------------------------------------- what is recorded */

static tg_tensor *recorded(tg_tape *t, const tg_model *m, tg_tensor *x)
{
    const tg_batch batch = {.size = sizeof batch, .rows = tg_tensor_shape(x).dim[0], .x = x};
    return tg_tape_status(t) == TG_OK ? m->output(t, m->net, &batch) : NULL;
}

/* Rows of features as they are in the data, f32 [n, features], to tg_predict's results. */
static tg_tensor *prediction(tg_tape *t, tg_model *m, tg_tensor *rows)
{
    const tg_scaling *s = &m->scaling;
    const tg_head head = m->head;
    const tg_shape width = TG_SHAPE(m->schema.features);
    tg_tensor *x = rows;
    if (s->mean)
        x = tg_div(t, tg_sub(t, tg_cast(t, x, TG_F64), tg_input_borrow(t, TG_F64, width, s->mean)),
                   tg_input_borrow(t, TG_F64, width, s->std));
    tg_tensor *y = recorded(t, m, tg_cast(t, x, m->dtype));
    if (head == TG_HEAD_CROSS_ENTROPY) y = tg_softmax(t, y, 1);
    if (head == TG_HEAD_BCE) {
        y = tg_cast(t, tg_sigmoid(t, y), TG_F64);
        y = tg_concat(t, 2, ((tg_tensor *[]){tg_offset(t, tg_neg(t, y), 1), y}), 1);
    }
    if (head == TG_HEAD_MSE)
        y = tg_offset(t, tg_scale(t, tg_cast(t, y, TG_F64), s->target_std), s->target_mean);
    return tg_cast(t, y, TG_F32);
}

/* ---------------------------------------------------------------- the text around it */

static void print_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < ' ' || c > 126 || c == '"' || c == '\\' || c == '?') fprintf(out, "\\%03o", c);
        else fputc(c, out);
    }
    fputc('"', out);
}

static void print_prototypes(FILE *out, const tg_model *m, const char *name, int64_t width)
{
    const long long inputs = m->schema.features;
    fprintf(out,
            "/* What the columns of a row are; the name of class k, or of the number, \"\" where\n"
            " * there is none; and for one row of raw features the probability of each class, or\n"
            " * the number. NAME_predict keeps %s_SCRATCH bytes on the stack. */\n"
            "extern const char *const %s_inputs[%lld];\nconst char *%s_label(int k);\n"
            "int %s_predict(const float row[%lld], float out[%lld]);\n",
            name, name, inputs, name, name, inputs, (long long)width);
}

static void print_names(FILE *out, const tg_model *m, const char *name, int64_t width)
{
    const long long inputs = m->schema.features;
    fprintf(out, "\nconst char *const %s_inputs[%lld] = {", name, inputs);
    for (int64_t k = 0; k < inputs; k++) {
        fputs(k ? ",\n    " : "\n    ", out);
        print_string(out, tg_model_feature_name(m, k));
    }
    fprintf(out,
            "};\n\nconst char *%s_label(int k)\n{\n    static const char *const label[%lld] = {",
            name, (long long)width);
    for (int64_t k = 0; k < width; k++) {
        fputs(k ? ",\n        " : "\n        ", out);
        print_string(out, m->schema.classes ? tg_model_label(m, k) : tg_model_target_name(m));
    }
    fprintf(out,
            "};\n    return k >= 0 && k < %lld ? label[k] : \"\";\n}\n\n"
            "int %s_predict(const float row[%lld], float out[%lld])\n{\n"
            "    double scratch[%s_SCRATCH / sizeof(double) + 1];\n"
            "    return %s(row, out, scratch);\n}\n",
            (long long)width, name, inputs, (long long)width, name, name);
}

static void print_rows(FILE *out, const char *name, int64_t width, const float *x)
{
    fprintf(out, "    static const float %s[%d][%lld] = {", name, TEST_ROWS, (long long)width);
    for (int64_t k = 0; k < TEST_ROWS * width; k++)
        fprintf(out, "%s%af", k == 0 ? "{" : k % width ? ", " : "},\n        {", (double)x[k]);
    fputs("}};\n", out);
}

/* Rows around the mean, which the program predicts and compares with the library's results, whose
 * products may be summed in another order. */
static void print_test(FILE *out, const char *name, int64_t inputs, int64_t width, const float *x,
                       const float *y)
{
    fprintf(out, "\n#ifdef %s_TEST\n#include <stdio.h>\n\nint main(void)\n{\n", name);
    print_rows(out, "row", inputs, x);
    print_rows(out, "wanted", width, y);
    fprintf(out,
            "    int wrong = 0;\n    for (int i = 0; i < %d; i++) {\n        float out[%lld];\n"
            "        wrong += %s_predict(row[i], out) != 0;\n"
            "        for (int k = 0; k < %lld; k++)\n"
            "            wrong += !(fabsf(out[k] - wanted[i][k]) <= "
            "1e-4f * (1 + fabsf(wanted[i][k])));\n    }\n"
            "    printf(\"%%d of %d numbers are wrong\\n\", wrong);\n    return wrong != 0;\n}\n"
            "#endif\n",
            TEST_ROWS, (long long)width, name, (long long)width, (int)(TEST_ROWS * width));
}

/* ---------------------------------------------------------------- the files */

static tg_status fail(tg_model *m, tg_status status, const char *what)
{
    return tg_error_set(&m->error, NULL, "export_c", status, "%s", what);
}

static void sample_rows(const tg_model *m, float *x)
{
    const tg_scaling *s = &m->scaling;
    const int64_t width = m->schema.features;
    for (int64_t k = 0; k < TEST_ROWS * width; k++) {
        const double u = (double)(k * 7919 % 211) / 105 - 1;
        x[k] = (float)(s->mean ? s->mean[k % width] + u * s->std[k % width] : u);
    }
}

/* What stands behind the function. */
static tg_status print_after(tg_model *m, tg_tape *t, const tg_model_export_options *o, FILE *out)
{
    const int64_t inputs = m->schema.features, width = tg_model_prediction_width(m);
    print_prototypes(out, m, o->name, width);
    print_names(out, m, o->name, width);
    if (!o->test) return TG_OK;
    float *x = calloc((size_t)(TEST_ROWS * inputs), sizeof *x);
    if (!x) return fail(m, TG_ENOMEM, "no memory");
    sample_rows(m, x);
    const float *y =
        tg_data(t, prediction(t, m, tg_input(t, TG_F32, TG_SHAPE(TEST_ROWS, inputs), x)));
    bool finite = y != NULL;
    for (int64_t k = 0; finite && k < TEST_ROWS * width; k++) finite = isfinite(y[k]);
    if (finite) print_test(out, o->name, inputs, width, x, y);
    free(x);
    if (finite) return TG_OK;
    if (!y) return fail(m, tg_tape_status(t), tg_tape_message(t));
    return fail(m, TG_ENONFINITE, "the model's results aren't finite");
}

static tg_status write_header(tg_model *m, const tg_model_export_options *o)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return fail(m, TG_ENOMEM, "no memory");
    fprintf(out, "/* %s, exported by tapegrad %d.%d.%d */\n", o->name, TG_VERSION_MAJOR,
            TG_VERSION_MINOR, TG_VERSION_PATCH);
    fprintf(out, "#ifndef %s_H\n#define %s_H\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
            o->name, o->name);
    print_prototypes(out, m, o->name, tg_model_prediction_width(m));
    fputs("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n", out);
    const bool whole = !ferror(out);
    tg_file target;
    tg_status status = m->error.status;
    if (fclose(out) != 0 || !whole) status = fail(m, TG_ENOMEM, "no memory");
    else if (!(tg_file_begin(&target, o->header) &&
               (tg_file_put(&target, text, bytes), tg_file_finish(&target))))
        status = tg_error_set(&m->error, NULL, o->header, TG_EIO, "%s",
                              tg_errno_text(target.error).text);
    free(text);
    return status;
}

static tg_status write_source(tg_model *m, tg_tape *t, const char *path, const char *after,
                              const tg_model_export_options *o)
{
    const int64_t inputs = m->schema.features;
    float *zeros = calloc((size_t)inputs, sizeof *zeros);
    if (!zeros) return fail(m, TG_ENOMEM, "no memory");
    tg_tensor *row = tg_input(t, TG_F32, TG_SHAPE(1, inputs), zeros);
    free(zeros);
    const tg_export_value in = {"row", row}, out = {"out", prediction(t, m, row)};
    const tg_export_options options = {.size = sizeof options,
                                       .name = o->name,
                                       .n_in = 1,
                                       .n_out = 1,
                                       .in = &in,
                                       .out = &out,
                                       .after = after};
    if (tg_export_c(t, path, &options) == TG_OK) return TG_OK;
    return tg_error_set(&m->error, NULL, NULL, tg_tape_status(t), "%s", tg_tape_message(t));
}

tg_status tg_model_export_c(tg_model *m, const char *path, const tg_model_export_options *options)
{
    if (!m || m->error.status != TG_OK) return tg_model_status(m);
    tg_model_export_options o;
    if (!path || !options) return fail(m, TG_ENULL, path ? "no options" : "no path is given");
    if (!tg_options_read(&o, sizeof o, options))
        return fail(m, TG_EVALUE, TG_UNSIZED(tg_model_export_options));
    if (!o.name) o.name = "net";
    if (!m->scaling.known) return fail(m, TG_ESTATE, "the model has not been trained");
    const tg_tape_options of_tape = {
        .size = sizeof of_tape, .allocator = &m->allocator, .evaluation = true};
    tg_tape *t = tg_tape_new(&of_tape);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    tg_status status = out ? print_after(m, t, &o, out) : fail(m, TG_ENOMEM, "no memory");
    const bool whole = out && !ferror(out);
    if (out && (fclose(out) != 0 || !whole)) status = fail(m, TG_ENOMEM, "no memory");
    if (status == TG_OK) status = write_source(m, t, path, text, &o);
    if (status == TG_OK && o.header) status = write_header(m, &o);
    free(text);
    tg_tape_free(t);
    return status;
}
