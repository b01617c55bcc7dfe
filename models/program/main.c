/* tapegrad: the command-line program. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main.h"

/* ------------------------------------------------------ models and data of predict and evaluate */

typedef struct pair {
    tg_model *m;
    tg_dataset *d;
} pair;

static int open_pair(const request *r, pair *p)
{
    p->m = tg_model_open(r->model, program_allocator());
    if (tg_model_status(p->m) != TG_OK) return complain(FAILED, "%s", tg_model_message(p->m));
    tg_model_set_threads(p->m, threads_of(r));
    p->d = tg_dataset_new(program_allocator());
    read_data(r, p->d, r->data, "t10k", tg_model_schema(p->m));
    return tg_dataset_status(p->d) == TG_OK ? DONE
                                            : complain(FAILED, "%s", tg_dataset_message(p->d));
}

static void close_pair(pair *p)
{
    tg_dataset_free(p->d);
    tg_model_free(p->m);
}

/* ---------------------------------------------------------------- predict */

/* A field of a CSV file: quoted when it has to be. */
static void print_field(const char *prefix, const char *text)
{
    if (!strpbrk(text, ",\"\r\n") && *text != ' ' && (!*text || text[strlen(text) - 1] != ' ')) {
        printf("%s%s", prefix, text);
        return;
    }
    printf("\"%s", prefix);
    for (; *text; text++) printf(*text == '"' ? "\"\"" : "%c", *text);
    putchar('"');
}

static void print_predictions(const tg_model *m, int64_t rows, const float *y)
{
    const int64_t classes = tg_model_classes(m), width = tg_model_prediction_width(m);
    print_field("", tg_model_target_name(m));
    for (int64_t k = 0; k < classes; k++) {
        putchar(',');
        print_field("p_", tg_model_label(m, k));
    }
    putchar('\n');
    for (int64_t i = 0; i < rows; i++) {
        const float *row = y + i * width;
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++)
            if (row[k] > row[best]) best = k;
        if (classes) print_field("", tg_model_label(m, best));
        else printf("%.9g", (double)row[0]);
        for (int64_t k = 0; k < classes; k++) printf(",%.9g", (double)row[k]);
        putchar('\n');
    }
}

static int predict(const request *r)
{
    pair p = {0};
    int status = open_pair(r, &p);
    if (status == DONE) {
        const int64_t rows = tg_dataset_rows(p.d);
        float *y = calloc((size_t)rows, (size_t)tg_model_prediction_width(p.m) * sizeof *y);
        if (!y) status = complain(FAILED, "no memory for %lld predictions", (long long)rows);
        else if (tg_predict(p.m, p.d, y) != TG_OK)
            status = complain(FAILED, "%s", tg_model_message(p.m));
        else print_predictions(p.m, rows, y);
        free(y);
    }
    close_pair(&p);
    return status;
}

/* ---------------------------------------------------------------- evaluate */

static void print_confusion_json(const tg_model *m, const int64_t *count)
{
    const int64_t classes = tg_model_classes(m);
    printf(",\"labels\":[");
    for (int64_t k = 0; k < classes; k++) {
        if (k) putchar(',');
        print_text(tg_model_label(m, k));
    }
    printf("],\"confusion\":[");
    for (int64_t a = 0; a < classes; a++) {
        printf(a ? ",[" : "[");
        for (int64_t k = 0; k < classes; k++)
            printf(k ? ",%lld" : "%lld", (long long)count[a * classes + k]);
        putchar(']');
    }
    putchar(']');
}

void print_confusion(const tg_model *m, const int64_t *count, bool colour)
{
    const int64_t classes = tg_model_classes(m);
    printf("rows: the true class, columns: the predicted one\n%12s", "");
    for (int64_t k = 0; k < classes; k++) printf(" %8.8s", tg_model_label(m, k));
    putchar('\n');
    for (int64_t a = 0; a < classes; a++) {
        printf("%12.12s", tg_model_label(m, a));
        for (int64_t k = 0; k < classes; k++) {
            const int64_t n = count[a * classes + k];
            const char *on = colour && n ? a == k ? "\033[32m" : "\033[31m" : "";
            printf(" %s%8lld%s", on, (long long)n, *on ? "\033[0m" : "");
        }
        putchar('\n');
    }
}

static int print_evaluation(const request *r, tg_model *m, const tg_dataset *d, const tg_metrics *y,
                            const int64_t *count)
{
    const bool classes = tg_model_classes(m) > 0;
    if (r->json) {
        printf("{\"loss\":");
        print_number(y->loss);
        printf(classes ? ",\"accuracy\":" : ",\"r2\":");
        print_number(classes ? y->accuracy : y->r2);
        if (!classes) printf(",\"rmse\":");
        if (!classes) print_number(y->rmse);
        printf(",\"rows\":%lld", (long long)y->rows);
        if (classes) print_confusion_json(m, count);
        const int status = print_measures(r, m, d, "");
        puts("}");
        return status;
    }
    if (classes) {
        printf("loss %.4f  accuracy %.4f  (%lld rows)\n", y->loss, y->accuracy, (long long)y->rows);
        if (tg_model_classes(m) <= 30) print_confusion(m, count, in_colour(STDOUT_FILENO));
    } else {
        printf("loss %.4f  R2 %.4f  RMSE %.4g  (%lld rows)\n", y->loss, y->r2, y->rmse,
               (long long)y->rows);
    }
    return print_measures(r, m, d, "");
}

static int evaluate(const request *r)
{
    pair p = {0};
    int status = open_pair(r, &p);
    if (status == DONE) {
        const size_t classes = (size_t)tg_model_classes(p.m);
        int64_t *count = calloc(classes * classes + 1, sizeof *count);
        tg_metrics y;
        if (!count) status = complain(FAILED, "no memory for a table of %zu classes", classes);
        else if (tg_evaluate(p.m, p.d, &y, count) != TG_OK)
            status = complain(FAILED, "%s", tg_model_message(p.m));
        else status = print_evaluation(r, p.m, p.d, &y, count);
        free(count);
    }
    close_pair(&p);
    return status;
}

/* ---------------------------------------------------------------- check */

static int check(const request *r)
{
    pair p = {0};
    int status = open_pair(r, &p);
    if (status == DONE) {
        tg_gradcheck_report y;
        tg_model_check(p.m, p.d, NULL, &y);
        const bool right = y.status == TG_OK, failed = !right && y.status != TG_ECHECK;
        if (failed)
            status =
                complain(FAILED, "%s", tg_model_status(p.m) ? tg_model_message(p.m) : y.message);
        else if (r->json) {
            printf("{\"right\":%s,\"compared\":%lld,\"kinks\":%lld,\"error\":",
                   right ? "true" : "false", (long long)y.compared, (long long)y.kinks);
            print_number(y.error);
            printf(",\"message\":");
            print_text(right ? "" : y.message);
            puts("}");
        } else if (right) {
            printf("%lld derivatives of first and second order agree with differences; the largest "
                   "error is %.3g\n",
                   (long long)y.compared, y.error);
            if (y.kinks)
                printf("%lld were left out, where the loss is not smooth\n", (long long)y.kinks);
        } else puts(y.message);
        if (!right) status = FAILED;
    }
    close_pair(&p);
    return status;
}

/* ---------------------------------------------------------------- graph */

/* One training step on two rows of zeros: enough for a drawing. */
static tg_tensor *record_step(tg_tape *t, const tg_model *m)
{
    enum { ROWS = 2 };
    const int64_t width = features_of(m), zero_class[ROWS] = {0};
    const tg_tensor *p = tg_params_get(tg_model_params(m), 0);
    const tg_dtype dtype = p ? tg_tensor_dtype(p) : TG_F32;
    double *zeros = calloc((size_t)(ROWS * width), sizeof *zeros);
    if (!zeros) return NULL;
    tg_tensor *loss = NULL;
    const tg_batch batch = {.size = sizeof batch,
                            .rows = ROWS,
                            .x = tg_input(t, dtype, TG_SHAPE(ROWS, width), zeros),
                            .target = tg_model_head(m) == TG_HEAD_CROSS_ENTROPY
                                          ? tg_input(t, TG_I64, TG_SHAPE(ROWS), zero_class)
                                          : tg_input(t, dtype, TG_SHAPE(ROWS, 1), zeros)};
    free(zeros);
    tg_model_record(t, m, &batch, &loss);
    return loss;
}

static int copy_to_output(const char *path)
{
    char chunk[4096];
    FILE *file = fopen(path, "r");
    if (!file) return complain(FAILED, "%s: can't be read", path);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, file)) > 0;) fwrite(chunk, 1, n, stdout);
    fclose(file);
    return DONE;
}

static int write_graph(tg_tape *t, tg_tensor *loss)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    const int n =
        snprintf(path, sizeof path, "%s/tapegrad-XXXXXX", folder && *folder ? folder : "/tmp");
    const int file = n > 0 && (size_t)n < sizeof path ? mkstemp(path) : -1;
    if (file < 0)
        return complain(FAILED, "can't make a temporary file in %s", folder ? folder : "/tmp");
    close(file);
    const int status = tg_write_dot(t, path, loss) == TG_OK
                           ? copy_to_output(path)
                           : complain(FAILED, "%s", tg_tape_message(t));
    unlink(path);
    return status;
}

static int graph(const request *r)
{
    tg_model *m = tg_model_open(r->model, program_allocator());
    int status = DONE;
    if (tg_model_status(m) != TG_OK) {
        status = complain(FAILED, "%s", tg_model_message(m));
    } else {
        tg_tape *t = tg_tape_new(
            &(tg_tape_options){.size = sizeof(tg_tape_options), .allocator = program_allocator()});
        tg_tensor *loss = record_step(t, m);
        status = loss ? write_graph(t, loss) : complain(FAILED, "%s", tg_tape_message(t));
        tg_tape_free(t);
    }
    tg_model_free(m);
    return status;
}

/* ---------------------------------------------------------------- export */

static int export(const request *r)
{
    if (check_outputs(r) != DONE) return FAILED;
    tg_model *m = tg_model_open(r->model, program_allocator());
    const tg_model_export_options o = {
        .size = sizeof o, .name = r->name, .header = r->header, .test = r->with_test};
    const int status = tg_model_status(m) == TG_OK && tg_model_export_c(m, r->output, &o) == TG_OK
                           ? DONE
                           : complain(FAILED, "%s", tg_model_message(m));
    tg_model_free(m);
    return status;
}

/* ---------------------------------------------------------------- commands */

static const struct command {
    const char *name;
    int (*parse)(int n, char **word, request *r, bool *helped);
    int (*run)(const request *r);
} commands[] = {
    {"train", parse_train, train},
    {"predict", parse_predict, predict},
    {"evaluate", parse_evaluate, evaluate},
    {"bench", parse_bench, bench},
    {"ops", parse_ops, ops},
    {"check", parse_check, check},
    {"export", parse_export, export},
    {"graph", parse_graph, graph},
    {"optimizers", parse_optimizers, optimizers},
    {"schedules", parse_schedules, schedules},
};

/* A full disk shows when the last of the output is written. */
static int finish(int status)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == DONE)
        return complain(FAILED, "writing the output failed");
    return status;
}

int main(int n, char **word)
{
    request r = {.validation = -1,
                 .optimizer = "adam",
                 .lr = -1,
                 .momentum = -1,
                 .weight_decay = -1,
                 .n_hidden = 2,
                 .hidden = {64, 32}};
    char command[COMMAND_TEXT];
    command_text(n, word, command);
    r.command = command;
    if (n < 2)
        return complain(USAGE, "a command is missing: train, predict, evaluate, check, export, "
                               "graph, bench, ops, optimizers or "
                               "schedules; `tapegrad --help` says more");
    if (!strcmp(word[1], "--help") || !strcmp(word[1], "-h") || !strcmp(word[1], "help")) {
        print_help();
        return finish(DONE);
    }
    if (!strcmp(word[1], "--version")) {
        const int version = tg_version();
        printf("tapegrad %d.%d.%d\n", version / 10000, version / 100 % 100, version % 100);
        return finish(DONE);
    }
    for (size_t k = 0; k < sizeof commands / sizeof commands[0]; k++) {
        if (strcmp(word[1], commands[k].name) != 0) continue;
        bool helped = false;
        const int status = commands[k].parse(n - 2, word + 2, &r, &helped);
        return finish(status == DONE && !helped ? commands[k].run(&r) : status);
    }
    return complain(USAGE,
                    "'%s' is no command: train, predict, evaluate, check, export, graph, bench, "
                    "ops, optimizers "
                    "or schedules; `tapegrad --help` says more",
                    word[1]);
}
