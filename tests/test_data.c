#define _XOPEN_SOURCE 700
#include "folder.h"

#include <math.h>
#include <stdint.h>
#include <sys/stat.h>
#include <zlib.h>

#include <tapegrad/models.h>

#include "allocator.h"

#define CSV(...) (&(tg_csv_options){.size = sizeof(tg_csv_options), __VA_ARGS__})

static tg_dataset *read_csv(const char *text, size_t bytes, const tg_csv_options *o)
{
    folder f = folder_new();
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_read_csv(d, folder_write(&f, "data.csv", text, bytes), o);
    folder_free(&f);
    return d;
}

static tg_dataset *csv(const char *text, const tg_csv_options *o)
{
    return read_csv(text, strlen(text), o);
}

/* ---------------------------------------------------------------- CSV that is good */

Test(data, csv_gives_names_numbers_and_classes)
{
    tg_dataset *d = csv("a,b,kind\n1,2,x\n-3.5,4e1,y\n+5,.5,x\n", NULL);
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    cr_assert_eq(tg_dataset_rows(d), 3);
    cr_assert_eq(tg_dataset_features(d), 2);
    cr_assert_eq(tg_dataset_task(d), TG_TASK_BINARY);
    cr_assert_str_eq(tg_dataset_feature_name(d, 0), "a");
    cr_assert_str_eq(tg_dataset_feature_name(d, 1), "b");
    cr_assert_null(tg_dataset_feature_name(d, 2));
    cr_assert_str_eq(tg_dataset_target_name(d), "kind");
    cr_assert_eq(tg_dataset_classes(d), 2);
    cr_assert_str_eq(tg_dataset_label(d, 0), "x");
    cr_assert_str_eq(tg_dataset_label(d, 1), "y");
    const float x[] = {1, 2, -3.5F, 40, 5, 0.5F};
    cr_assert_arr_eq(tg_dataset_x(d), x, sizeof x);
    const int64_t y[] = {0, 1, 0};
    cr_assert_arr_eq(tg_dataset_class_numbers(d), y, sizeof y);
    cr_assert_null(tg_dataset_numbers(d));
    tg_dataset_free(d);
}

Test(data, csv_may_come_with_crlf_a_byte_order_mark_quotes_blank_lines_and_no_last_newline)
{
    static const char *const same[] = {
        "a,b\n1,u\n2,v\n",
        "a,b\r\n1,u\r\n2,v\r\n",
        ("\xEF\xBB\xBF"
         "a,b\n1,u\n2,v"),
        "\"a\",\"b\"\n\"1\",\"u\"\n\n2,v\n\n",
        "a , b\n 1,u \n2 ,\tv\n",
        "a,b\r1,u\r2,v\r",
    };
    for (size_t k = 0; k < sizeof same / sizeof same[0]; k++) {
        tg_dataset *d = csv(same[k], NULL);
        cr_assert_eq(tg_dataset_status(d), TG_OK, "%zu: %s", k, tg_dataset_message(d));
        cr_assert_eq(tg_dataset_rows(d), 2, "%zu", k);
        cr_assert_str_eq(tg_dataset_feature_name(d, 0), "a");
        cr_assert_str_eq(tg_dataset_target_name(d), "b");
        cr_assert_eq(tg_dataset_x(d)[0], 1);
        cr_assert_eq(tg_dataset_x(d)[1], 2);
        cr_assert_str_eq(tg_dataset_label(d, 1), "v");
        tg_dataset_free(d);
    }
}

Test(data, csv_labels_may_hold_commas_quotes_newlines_and_umlauts)
{
    tg_dataset *d = csv("a,b\n1,\"x, y\"\n2,\"say \"\"hi\"\"\nthere\"\n3,gr\xC3\xBC"
                        "n\n",
                        NULL);
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    cr_assert_eq(tg_dataset_classes(d), 3);
    cr_assert_str_eq(tg_dataset_label(d, 0), "gr\xC3\xBC"
                                             "n");
    cr_assert_str_eq(tg_dataset_label(d, 1), "say \"hi\"\nthere");
    cr_assert_str_eq(tg_dataset_label(d, 2), "x, y");
    tg_dataset_free(d);
}

Test(data, csv_target_may_be_any_column)
{
    tg_dataset *d = csv("a,b,c\n1,2,3\n4,5,6\n", CSV(.target = "b", .task = TG_TASK_REGRESSION));
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    const float x[] = {1, 3, 4, 6}, y[] = {2, 5};
    cr_assert_arr_eq(tg_dataset_x(d), x, sizeof x);
    cr_assert_arr_eq(tg_dataset_numbers(d), y, sizeof y);
    cr_assert_str_eq(tg_dataset_feature_name(d, 1), "c");
    cr_assert_null(tg_dataset_class_numbers(d));
    tg_dataset_free(d);
}

Test(data, csv_may_be_gzip)
{
    folder f = folder_new();
    gzFile gz = gzopen(folder_file(&f, "data.csv.gz"), "wb");
    gzputs(gz, "a,b\n1,x\n2,y\n");
    gzclose(gz);
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_csv(d, f.file, NULL), TG_OK, "%s", tg_dataset_message(d));
    cr_assert_eq(tg_dataset_rows(d), 2);
    tg_dataset_free(d);
    folder_free(&f);
}

Test(data, csv_lines_may_be_longer_and_files_larger_than_any_buffer)
{
    enum { ROWS = 20000 };
    char *text = malloc(ROWS * 40 + 300000), *at = text;
    at += sprintf(at, "a,b\n");
    for (int i = 0; i < ROWS; i++) at += sprintf(at, "%d.25,%s\n", i, i % 3 ? "no" : "yes");
    at += sprintf(at, "%0200000d,no\n", 7);
    tg_dataset *d = csv(text, NULL);
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    cr_assert_eq(tg_dataset_rows(d), ROWS + 1);
    for (int i = 0; i < ROWS; i++) {
        cr_assert_eq(tg_dataset_x(d)[i], (float)i + 0.25F);
        cr_assert_eq(tg_dataset_class_numbers(d)[i], i % 3 == 0);
    }
    cr_assert_eq(tg_dataset_x(d)[ROWS], 7);
    tg_dataset_free(d);
    free(text);
}

/* ---------------------------------------------------------------- what the task is */

typedef struct task_case {
    const char *targets[4];
    tg_task asked, expected;
    const char *labels; /* all of them, one after another */
} task_case;

Test(data, the_task_follows_from_the_targets)
{
    static const task_case cases[] = {
        {{"0", "1", "1", "0"}, TG_TASK_AUTO, TG_TASK_BINARY, "0 1"},
        {{"2", "10", "1", "1"}, TG_TASK_AUTO, TG_TASK_MULTICLASS, "1 2 10"},
        {{"b", "10", "a", "2"}, TG_TASK_AUTO, TG_TASK_MULTICLASS, "10 2 a b"},
        {{"1.0", "1", "+2", "2"}, TG_TASK_AUTO, TG_TASK_BINARY, "1 2"},
        {{"-1", "1", "-1", "-1.0"}, TG_TASK_AUTO, TG_TASK_BINARY, "-1 1"},
        {{"0", "-0", "0.0", "1"}, TG_TASK_AUTO, TG_TASK_BINARY, "0 1"},
        {{"1.5", "2", "3", "4"}, TG_TASK_AUTO, TG_TASK_REGRESSION, ""},
        {{"0", "1", "1", "0"}, TG_TASK_REGRESSION, TG_TASK_REGRESSION, ""},
        {{"1.5", "2.5", "1.5", "2.5"}, TG_TASK_BINARY, TG_TASK_BINARY, "1.5 2.5"},
        {{"x", "y", "x", "y"}, TG_TASK_MULTICLASS, TG_TASK_MULTICLASS, "x y"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char text[200], labels[200] = "";
        const char *const *y = cases[k].targets;
        snprintf(text, sizeof text, "a,t\n1,%s\n2,%s\n3,%s\n4,%s\n", y[0], y[1], y[2], y[3]);
        tg_dataset *d = csv(text, CSV(.task = cases[k].asked));
        cr_assert_eq(tg_dataset_status(d), TG_OK, "%zu: %s", k, tg_dataset_message(d));
        cr_assert_eq(tg_dataset_task(d), cases[k].expected, "%zu: %s", k,
                     tg_task_name(tg_dataset_task(d)));
        for (int64_t c = 0; c < tg_dataset_classes(d); c++) {
            if (c) strcat(labels, " ");
            strcat(labels, tg_dataset_label(d, c));
        }
        cr_assert_str_eq(labels, cases[k].labels, "%zu", k);
        tg_dataset_free(d);
    }
}

Test(data, more_than_twenty_whole_numbers_are_a_regression)
{
    for (int n = 20; n <= 21; n++) {
        char text[1000] = "a,t\n";
        for (int i = 0; i < n; i++) sprintf(text + strlen(text), "%d,%d\n", i, i);
        tg_dataset *d = csv(text, NULL);
        cr_assert_eq(tg_dataset_task(d), n == 20 ? TG_TASK_MULTICLASS : TG_TASK_REGRESSION);
        tg_dataset_free(d);
    }
}

/* --------------------------------------------------------------- CSV that is bad: every message */

typedef struct bad_case {
    const char *text;
    size_t bytes;        /* 0: strlen */
    const char *message; /* behind the folder's name */
    const char *target;
    tg_task task;
} bad_case;

Test(data, bad_csv_is_reported_with_file_line_and_column)
{
    static const bad_case cases[] = {
        {.text = "", .message = "data.csv: empty: a header line with column names is needed"},
        {.text = "\n\n", .message = "data.csv: empty: a header line with column names is needed"},
        {.text = "a,b\n", .message = "data.csv: no rows behind the header"},
        {.text = "a,b", .message = "data.csv: no rows behind the header"},
        {.text = "5.1,3.5,0\n4.9,3,0\n",
         .message = "data.csv:1: every field here but the target's is a number: --no-header if "
                    "this line is data, --header if it holds names"},
        {.text = "a\n1\n",
         .message = "data.csv:1: one column only: at least one feature and the target are needed, "
                    "with a comma, semicolon, tab or pipe between"},
        {.text = "a,,c\n1,2,3\n", .message = "data.csv:1: column 2 has no name"},
        {.text = "a,b,a\n1,2,3\n", .message = "data.csv:1: columns 1 and 3 have the same name 'a'"},
        {.text = "a,b,c\n1,2,x\n",
         .target = "d",
         .message = "data.csv:1: no column 'd' among the 3 columns 'a' ... 'c'"},
        {.text = "a,b\n1,x\nabc,y\n", .message = "data.csv:3: column 'a': not a number: 'abc'"},
        {.text = "a,b\n1,x\n\n\n1 2,y\n", .message = "data.csv:5: column 'a': not a number: '1 2'"},
        {.text = "a,b\r\n1,x\r\nabc,y\r\n",
         .message = "data.csv:3: column 'a': not a number: 'abc'"},
        {.text = "a,b\n1,\"x\ny\nz\"\nabc,y\n",
         .message = "data.csv:5: column 'a': not a number: 'abc'"},
        {.text = "a,b\n0x10,x\n", .message = "data.csv:2: column 'a': not a number: '0x10'"},
        {.text = "a,b\n1.2.3,x\n", .message = "data.csv:2: column 'a': not a number: '1.2.3'"},
        {.text = "a,b\n1e,x\n", .message = "data.csv:2: column 'a': not a number: '1e'"},
        {.text = "a;b,c\n\"1,5\",x\n", .message = "data.csv:2: column 'a;b': not a number: '1,5'"},
        {.text = "a,b\n,x\n",
         .message = "data.csv:2: column 'a': empty: --missing says what to do"},
        {.text = "a,b\n1,\n",
         .message = "data.csv:2: column 'b': empty: --missing skip leaves such rows out"},
        {.text = "a,b\nnan,x\n",
         .message = "data.csv:2: column 'a': a missing value, 'nan': --missing says what to do"},
        {.text = "a,b\n-Inf,x\n", .message = "data.csv:2: column 'a': not a finite number: '-Inf'"},
        {.text = "a,b\nNA,x\n",
         .message = "data.csv:2: column 'a': a missing value, 'NA': --missing says what to do"},
        {.text = "a,b\n1e39,x\n",
         .message = "data.csv:2: column 'a': beyond the range of f32: '1e39'"},
        {.text = "a,b\n1e999,x\n",
         .message = "data.csv:2: column 'a': beyond the range of f32: '1e999'"},
        {.text = "a,b,c\n1,2,x\n1,2\n", .message = "data.csv:3: 2 fields where the header has 3"},
        {.text = "a,b,c\n1,2,x\n1\n", .message = "data.csv:3: 1 field where the header has 3"},
        {.text = "a,b,c\n1,2,x,4\n", .message = "data.csv:2: 4 fields where the header has 3"},
        {.text = "a,b\n1,\"x\n2,y\n",
         .message = "data.csv:2: a quote that is opened here, or later, is never closed"},
        {.text = "a,b\n1,x\n2,\"y\"z\n", .message = "data.csv:3: a quote in the wrong place"},
        {.text = "a,b\n1,x\n2,x\n",
         .message = "data.csv: column 'b': there is one class only, 'x'"},
        {.text = "a,b\n1,x\n2,y\n3,z\n",
         .task = TG_TASK_BINARY,
         .message = "data.csv: column 'b': the task is binary, but there are 3 classes"},
        {.text = "a,b\n1,1\n2,2\n3,x\n",
         .task = TG_TASK_REGRESSION,
         .message = "data.csv:4: column 'b': not a number: 'x'"},
        {.text = "a,b\n1,\xFF\n", .message = "data.csv:2: column 'b': not UTF-8 text"},
        {.text = "a,b\n1,\xE0\x80\x80\n", .message = "data.csv:2: column 'b': not UTF-8 text"},
        {.text = "a,b\n1,\xF4\x90\x80\x80\n", .message = "data.csv:2: column 'b': not UTF-8 text"},
        {.text = "a,b\n1,\xED\xA0\x80\n", .message = "data.csv:2: column 'b': not UTF-8 text"},
        {.text = "a,\xC0\x80\n1,x\n",
         .message = "data.csv:1: the name of column 2 is not UTF-8 text"},
        {.text = "a,b\n1,x\0y\n", .bytes = 10, .message = "data.csv:2: column 'b': not UTF-8 text"},
        {.text = "\xFF\xFE"
                 "a\0,\0",
         .bytes = 6,
         .message = "data.csv:1: UTF-16 text: UTF-8 is needed"},
        {.text = "\x1F\x8Bxxxxxxxxxxxxxxxxxxx",
         .message = "data.csv: not valid gzip data: unknown compression method"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const bad_case *c = &cases[k];
        tg_dataset *d = read_csv(c->text, c->bytes ? c->bytes : strlen(c->text),
                                 CSV(.target = c->target, .task = c->task));
        cr_assert_eq(tg_dataset_status(d), TG_EFORMAT, "%zu: status %s", k,
                     tg_status_name(tg_dataset_status(d)));
        const char *message = strstr(tg_dataset_message(d), "data.csv");
        cr_assert_str_eq(message ? message : tg_dataset_message(d), c->message, "%zu", k);
        cr_assert_eq(tg_dataset_rows(d), 0);
        cr_assert_null(tg_dataset_x(d));
        tg_dataset_free(d);
    }
}

Test(data, files_that_cannot_be_read_are_io_errors)
{
    folder f = folder_new();
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_csv(d, folder_file(&f, "none.csv"), NULL), TG_EIO);
    cr_assert_not_null(strstr(tg_dataset_message(d), "none.csv: No such file or directory"));
    tg_dataset_free(d);
    d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_csv(d, f.path, NULL), TG_EIO);
    cr_assert_not_null(strstr(tg_dataset_message(d), "Is a directory"), "%s",
                       tg_dataset_message(d));
    tg_dataset_free(d);
    folder_free(&f);
}

Test(data, a_truncated_gzip_file_is_reported)
{
    folder f = folder_new();
    gzFile gz = gzopen(folder_file(&f, "data.csv.gz"), "wb");
    gzputs(gz, "a,b\n1,x\n2,y\n");
    gzclose(gz);
    struct stat info;
    stat(f.file, &info);
    for (off_t bytes = info.st_size - 1; bytes >= 12; bytes--) {
        cr_assert_eq(truncate(f.file, bytes), 0);
        tg_dataset *d = tg_dataset_new(NULL);
        cr_assert_eq(tg_dataset_read_csv(d, f.file, NULL), TG_EFORMAT, "%d bytes", (int)bytes);
        cr_assert_not_null(
            strstr(tg_dataset_message(d), "data.csv.gz: the compressed file is cut short"),
            "%d: %s", (int)bytes, tg_dataset_message(d));
        tg_dataset_free(d);
    }
    folder_free(&f);
}

Test(data, errors_stick_and_sets_are_filled_once)
{
    tg_dataset *d = csv("a,b\n", NULL);
    char message[600];
    strcpy(message, tg_dataset_message(d));
    cr_assert_eq(tg_dataset_read_csv(d, "another.csv", NULL), TG_EFORMAT);
    cr_assert_str_eq(tg_dataset_message(d), message);
    tg_dataset_free(d);
    d = csv("a,b\n1,x\n2,y\n", NULL);
    cr_assert_eq(tg_dataset_read_csv(d, "another.csv", NULL), TG_ESTATE);
    tg_dataset_free(d);
}

/* ---------------------------------------------------------------- arrays, choosing, dividing */

Test(data, arrays_become_a_data_set)
{
    const float x[] = {1, 2, 3, 4, 5, 6}, y[] = {0, 2, 1};
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_fill(d, TG_TASK_MULTICLASS, 3, 2, x, y), TG_OK);
    cr_assert_eq(tg_dataset_classes(d), 3);
    cr_assert_str_eq(tg_dataset_feature_name(d, 1), "x1");
    cr_assert_str_eq(tg_dataset_label(d, 2), "2");
    const int64_t row[] = {2, 0, 2};
    tg_dataset *s = tg_dataset_select(d, 3, row);
    const float expected[] = {5, 6, 1, 2, 5, 6};
    const int64_t classes[] = {1, 0, 1};
    cr_assert_arr_eq(tg_dataset_x(s), expected, sizeof expected);
    cr_assert_arr_eq(tg_dataset_class_numbers(s), classes, sizeof classes);
    cr_assert_str_eq(tg_dataset_label(s, 2), "2");
    tg_dataset_free(s);
    s = tg_dataset_select(d, 1, &(int64_t){3});
    cr_assert_eq(tg_dataset_status(s), TG_EINDEX);
    tg_dataset_free(s);
    tg_dataset_free(d);
}

Test(data, arrays_that_do_not_fit_are_refused)
{
    static const struct {
        tg_task task;
        float x, y;
        int64_t rows, features;
        tg_status status;
    } cases[] = {
        {TG_TASK_BINARY, 1, 2, 1, 1, TG_EVALUE},
        {TG_TASK_MULTICLASS, 1, 0.5F, 1, 1, TG_EVALUE},
        {TG_TASK_MULTICLASS, 1, -1, 1, 1, TG_EVALUE},
        {TG_TASK_REGRESSION, NAN, 1, 1, 1, TG_EVALUE},
        {TG_TASK_REGRESSION, 1, INFINITY, 1, 1, TG_EVALUE},
        {TG_TASK_AUTO, 1, 1, 1, 1, TG_EVALUE},
        {TG_TASK_BINARY, 1, 1, 0, 1, TG_ESHAPE},
        {TG_TASK_BINARY, 1, 1, 1, 0, TG_ESHAPE},
        {TG_TASK_BINARY, 1, 1, INT64_MAX, 2, TG_ESHAPE},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_dataset *d = tg_dataset_new(NULL);
        cr_assert_eq(tg_dataset_fill(d, cases[k].task, cases[k].rows, cases[k].features,
                                     &cases[k].x, &cases[k].y),
                     cases[k].status, "%zu", k);
        tg_dataset_free(d);
    }
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_fill(d, TG_TASK_BINARY, 1, 1, NULL, NULL), TG_ENULL);
    tg_dataset_free(d);
}

static tg_dataset *numbered(int64_t rows)
{
    float x[1000];
    for (int64_t i = 0; i < rows; i++) x[i] = (float)i;
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_fill(d, TG_TASK_REGRESSION, rows, 1, x, x), TG_OK);
    return d;
}

Test(data, a_split_file_divides_rows_in_order)
{
    static const char *const same[] = {"0\n1\n0\n1\n0\n", "0\r\n1\r\n0\r\n1\r\n0",
                                       " 0\n1 \n0\n1\n0\n"};
    for (size_t k = 0; k < 3; k++) {
        folder f = folder_new();
        tg_dataset *d = numbered(5), *train, *test;
        cr_assert_eq(tg_dataset_split_file(d, folder_text(&f, "s", same[k]), &train, &test), TG_OK,
                     "%s", tg_dataset_message(d));
        const float a[] = {0, 2, 4}, b[] = {1, 3};
        cr_assert_eq(tg_dataset_rows(train), 3);
        cr_assert_eq(tg_dataset_rows(test), 2);
        cr_assert_arr_eq(tg_dataset_numbers(train), a, sizeof a);
        cr_assert_arr_eq(tg_dataset_x(test), b, sizeof b);
        tg_dataset_free(train);
        tg_dataset_free(test);
        tg_dataset_free(d);
        folder_free(&f);
    }
}

Test(data, bad_split_files_are_reported_with_their_line)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "split: 0 lines for the 3 rows of the data"},
        {"0\n1\n", "split: 2 lines for the 3 rows of the data"},
        {"0\n1\n0\n1\n", "split:4: more lines than the 3 rows of the data"},
        {"0\n2\n0\n", "split:2: not a single 0 or 1"},
        {"0\n01\n0\n", "split:2: not a single 0 or 1"},
        {"0\n\n0\n", "split:2: an empty line where 0 or 1 is expected"},
        {"0\n0\n0\n", "split: every line is 0"},
        {"1\n1\n1\n", "split: every line is 1"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        folder f = folder_new();
        tg_dataset *d = numbered(3), *train, *test;
        cr_assert_eq(
            tg_dataset_split_file(d, folder_text(&f, "split", cases[k].text), &train, &test),
            TG_EFORMAT);
        cr_assert_str_eq(strstr(tg_dataset_message(d), "split"), cases[k].message);
        cr_assert_null(train);
        cr_assert_null(test);
        tg_dataset_free(d);
        folder_free(&f);
    }
}

Test(data, a_random_division_holds_every_row_once_and_follows_its_seed)
{
    float first[1000] = {0};
    for (int round = 0; round < 3; round++) {
        tg_dataset *d = numbered(100), *train, *test;
        cr_assert_eq(tg_dataset_split_random(d, 0.25, round == 2 ? 8 : 7, &train, &test), TG_OK);
        cr_assert_eq(tg_dataset_rows(train), 75);
        cr_assert_eq(tg_dataset_rows(test), 25);
        int seen[100] = {0};
        for (int i = 0; i < 75; i++) seen[(int)tg_dataset_x(train)[i]]++;
        for (int i = 0; i < 25; i++) seen[(int)tg_dataset_x(test)[i]]++;
        for (int i = 0; i < 100; i++) cr_assert_eq(seen[i], 1);
        if (round == 0) memcpy(first, tg_dataset_x(test), 25 * sizeof(float));
        const bool same = !memcmp(first, tg_dataset_x(test), 25 * sizeof(float));
        cr_assert_eq(same, round < 2);
        tg_dataset_free(train);
        tg_dataset_free(test);
        tg_dataset_free(d);
    }
    tg_dataset *d = numbered(10), *train, *test;
    cr_assert_eq(tg_dataset_split_random(d, 1, 0, &train, &test), TG_EVALUE);
    tg_dataset_free(d);
}

Test(data, a_random_division_leaves_neither_part_empty)
{
    for (int k = 0; k < 2; k++) {
        tg_dataset *d = numbered(10), *train, *test;
        cr_assert_eq(tg_dataset_split_random(d, k ? 0.99 : 0.01, 0, &train, &test), TG_OK);
        cr_assert_eq(tg_dataset_rows(test), k ? 9 : 1);
        cr_assert_eq(tg_dataset_rows(train), k ? 1 : 9);
        tg_dataset_free(train);
        tg_dataset_free(test);
        tg_dataset_free(d);
    }
}

/* ---------------------------------------------------------------- IDX */

static unsigned char *idx_images(int count, int height, int width, size_t *bytes)
{
    *bytes = 16 + (size_t)count * (size_t)height * (size_t)width;
    unsigned char *y = malloc(*bytes);
    const unsigned char header[16] = {0, 0, 8, 3,
                                      0, 0, 0, (unsigned char)count,
                                      0, 0, 0, (unsigned char)height,
                                      0, 0, 0, (unsigned char)width};
    memcpy(y, header, 16);
    for (size_t k = 16; k < *bytes; k++) y[k] = (unsigned char)(k * 37);
    return y;
}

static const unsigned char three_labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 2, 0, 1};

static void write_idx(folder *f)
{
    size_t bytes;
    unsigned char *images = idx_images(3, 2, 4, &bytes);
    folder_write(f, "train-images-idx3-ubyte", images, bytes);
    folder_write(f, "train-labels-idx1-ubyte", three_labels, sizeof three_labels);
    free(images);
}

static void check_idx(const tg_dataset *d)
{
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    cr_assert_eq(tg_dataset_rows(d), 3);
    cr_assert_eq(tg_dataset_features(d), 8);
    cr_assert_eq(tg_dataset_classes(d), 3);
    cr_assert_eq(tg_dataset_task(d), TG_TASK_MULTICLASS);
    cr_assert_str_eq(tg_dataset_label(d, 2), "2");
    cr_assert_str_eq(tg_dataset_feature_name(d, 7), "pixel7");
    for (int k = 0; k < 24; k++)
        cr_assert_eq(tg_dataset_x(d)[k], (float)(unsigned char)((k + 16) * 37) / 255.0F);
    const int64_t y[] = {2, 0, 1};
    cr_assert_arr_eq(tg_dataset_class_numbers(d), y, sizeof y);
}

Test(data, idx_images_are_read_plain_and_gzipped)
{
    folder f = folder_new();
    write_idx(&f);
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_read_idx(d, f.path, "train", NULL);
    check_idx(d);
    tg_dataset_free(d);
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
    for (int k = 0; k < 2; k++) {
        char bytes[100], name[64];
        FILE *file = fopen(folder_file(&f, names[k]), "rb");
        const size_t n = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        remove(f.file);
        snprintf(name, sizeof name, "%s.gz", names[k]);
        gzFile gz = gzopen(folder_file(&f, name), "wb");
        gzwrite(gz, bytes, (unsigned)n);
        gzclose(gz);
    }
    d = tg_dataset_new(NULL);
    tg_dataset_read_idx(d, f.path, "train", NULL);
    check_idx(d);
    tg_dataset_free(d);
    folder_free(&f);
}

Test(data, idx_files_go_by_several_names)
{
    static const char *const names[][2] = {
        {"train-images.idx3-ubyte", "train-labels.idx1-ubyte"},
        {"emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte"}};
    for (int k = 0; k < 2; k++) {
        folder f = folder_new();
        size_t bytes;
        unsigned char *images = idx_images(3, 2, 4, &bytes);
        folder_write(&f, names[k][0], images, bytes);
        folder_write(&f, names[k][1], three_labels, sizeof three_labels);
        tg_dataset *d = tg_dataset_new(NULL);
        tg_dataset_read_idx(d, f.path, "train", NULL);
        check_idx(d);
        tg_dataset_free(d);
        folder_write(&f, "other-train-images-idx3-ubyte", images, bytes);
        d = tg_dataset_new(NULL);
        cr_expect_eq(tg_dataset_read_idx(d, f.path, "train", NULL), TG_EFORMAT);
        cr_expect_not_null(
            strstr(tg_dataset_message(d), "several files are called train-images-idx3-ubyte"));
        tg_dataset_free(d);
        free(images);
        folder_free(&f);
    }
}

Test(data, images_without_labels_are_read_for_a_model)
{
    folder f = folder_new();
    write_idx(&f);
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_read_idx(d, f.path, "train", NULL);
    tg_mlp *m = tg_mlp_new(d, &(tg_mlp_options){.size = sizeof(tg_mlp_options)});
    tg_dataset_free(d);
    cr_assert_eq(remove(folder_file(&f, "train-labels-idx1-ubyte")), 0);
    d = tg_dataset_new(NULL);
    float y[9];
    cr_assert_eq(tg_dataset_read_idx(d, f.path, "train", tg_model_schema(tg_mlp_model(m))), TG_OK,
                 "%s", tg_dataset_message(d));
    cr_expect_null(tg_dataset_class_numbers(d));
    cr_expect_eq(tg_predict(tg_mlp_model(m), d, y), TG_OK, "%s", tg_mlp_message(m));
    tg_dataset_free(d);
    tg_mlp_free(m);
    folder_free(&f);
}

static void expect_idx_error(folder *f, tg_status status, const char *message)
{
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_idx(d, f->path, "train", NULL), status, "%s instead of: %s",
                 tg_dataset_message(d), message);
    const char *found = strstr(tg_dataset_message(d), "train-");
    cr_assert_str_eq(found ? found : tg_dataset_message(d), message);
    tg_dataset_free(d);
}

Test(data, idx_files_of_every_truncated_length_are_reported)
{
    size_t bytes;
    unsigned char *images = idx_images(3, 2, 4, &bytes);
    folder f = folder_new();
    for (size_t n = 0; n < bytes; n++) {
        char message[256];
        write_idx(&f);
        folder_write(&f, "train-images-idx3-ubyte", images, n);
        if (n < 16)
            snprintf(
                message, sizeof message,
                "train-images-idx3-ubyte: byte %zu: the file ends inside its header of 16 bytes",
                n);
        else
            snprintf(message, sizeof message,
                     "train-images-idx3-ubyte: byte %zu: the file ends here; its header promises 3 "
                     "items and 40 bytes",
                     n);
        expect_idx_error(&f, TG_EFORMAT, message);
    }
    free(images);
    folder_free(&f);
}

Test(data, bad_idx_files_are_reported_with_the_byte)
{
    folder f = folder_new();
    size_t bytes;
    unsigned char *images = idx_images(3, 2, 4, &bytes);
    expect_idx_error(&f, TG_EIO, "train-images-idx3-ubyte: No such file or directory");
    folder_write(&f, "train-images-idx3-ubyte", images, bytes);
    expect_idx_error(&f, TG_EIO, "train-labels-idx1-ubyte: No such file or directory");
    folder_write(&f, "train-labels-idx1-ubyte", images, bytes);
    expect_idx_error(&f, TG_EFORMAT,
                     "train-labels-idx1-ubyte: byte 0: the magic number is 0x00000803 where "
                     "0x00000801 (bytes in 1 dimension) is expected");
    unsigned char labels[16];
    memcpy(labels, three_labels, sizeof three_labels);
    folder_write(&f, "train-labels-idx1-ubyte", labels, sizeof three_labels + 1);
    expect_idx_error(
        &f, TG_EFORMAT,
        "train-labels-idx1-ubyte: byte 11: the data should end here, but there is more");
    labels[7] = 2;
    folder_write(&f, "train-labels-idx1-ubyte", labels, 10);
    expect_idx_error(&f, TG_EFORMAT, "train-labels-idx1-ubyte: byte 4: 2 labels for 3 images");
    memcpy(labels, three_labels, sizeof three_labels);
    labels[8] = labels[10] = 0;
    folder_write(&f, "train-labels-idx1-ubyte", labels, sizeof three_labels);
    expect_idx_error(&f, TG_EFORMAT,
                     "train-labels-idx1-ubyte: byte 8: all labels are 0: there is one class only");
    write_idx(&f);
    images[7] = 0;
    folder_write(&f, "train-images-idx3-ubyte", images, 16);
    expect_idx_error(&f, TG_EFORMAT, "train-images-idx3-ubyte: byte 4: there are no items");
    images[7] = 3;
    images[11] = 0;
    folder_write(&f, "train-images-idx3-ubyte", images, 16);
    expect_idx_error(&f, TG_EFORMAT, "train-images-idx3-ubyte: byte 8: images of 0 x 4 pixels");
    memset(images + 4, 0xFF, 12);
    folder_write(&f, "train-images-idx3-ubyte", images, 16);
    expect_idx_error(&f, TG_EFORMAT,
                     "train-images-idx3-ubyte: byte 8: images of 4294967295 x 4294967295 pixels");
    memcpy(images + 8, "\0\0\x10\0\0\0\x10\0", 8);
    folder_write(&f, "train-images-idx3-ubyte", images, bytes);
    expect_idx_error(&f, TG_EFORMAT,
                     "train-images-idx3-ubyte: byte 40: the file ends here; its header promises "
                     "4294967295 items and 72057594021150736 bytes");
    free(images);
    folder_free(&f);
}

/* ---------------------------------------------------------------- reading for a model */

static tg_mlp *model_of(const char *text)
{
    tg_dataset *d = csv(text, NULL);
    tg_mlp *m = tg_mlp_new(d, NULL);
    cr_assert_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
    tg_dataset_free(d);
    return m;
}

Test(data, a_model_finds_its_columns_by_name_and_its_labels)
{
    tg_mlp *m = model_of("a,b,kind\n1,2,x\n3,4,y\n5,6,z\n");
    tg_dataset *d = csv("id,kind,b,note,a\nu,z,20,\"m,n\",10\nv,x,40,,30\n",
                        CSV(.schema = tg_model_schema(tg_mlp_model(m))));
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    const float x[] = {10, 20, 30, 40};
    const int64_t y[] = {2, 0};
    cr_assert_arr_eq(tg_dataset_x(d), x, sizeof x);
    cr_assert_arr_eq(tg_dataset_class_numbers(d), y, sizeof y);
    cr_assert_eq(tg_dataset_classes(d), 3);
    tg_dataset_free(d);
    d = csv("a,b\n1,2\n", CSV(.schema = tg_model_schema(tg_mlp_model(m))));
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    cr_assert_null(tg_dataset_class_numbers(d));
    tg_dataset_free(d);
    d = csv("a,kind\n1,x\n", CSV(.schema = tg_model_schema(tg_mlp_model(m))));
    cr_assert_not_null(
        strstr(tg_dataset_message(d), "data.csv:1: no column 'b', which the model needs"));
    tg_dataset_free(d);
    d = csv("a,b,kind\n1,2,x\n3,4,w\n", CSV(.schema = tg_model_schema(tg_mlp_model(m))));
    cr_assert_not_null(
        strstr(tg_dataset_message(d),
               "data.csv:3: column 'kind': 'w' is none of the model's 3 classes 'x' ... 'z'"));
    tg_dataset_free(d);
    tg_mlp_free(m);
}

Test(data, images_must_fit_the_model)
{
    folder f = folder_new();
    write_idx(&f);
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_read_idx(d, f.path, "train", NULL);
    tg_mlp *m = tg_mlp_new(d, NULL);
    tg_dataset_free(d);
    d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_idx(d, f.path, "train", tg_model_schema(tg_mlp_model(m))), TG_OK,
                 "%s", tg_dataset_message(d));
    tg_dataset_free(d);
    unsigned char labels[sizeof three_labels];
    memcpy(labels, three_labels, sizeof labels);
    labels[9] = 3;
    folder_write(&f, "train-labels-idx1-ubyte", labels, sizeof labels);
    d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_idx(d, f.path, "train", tg_model_schema(tg_mlp_model(m))),
                 TG_EFORMAT);
    cr_assert_not_null(
        strstr(tg_dataset_message(d),
               "train-labels-idx1-ubyte: byte 9: label 3 for a model with 3 classes"),
        "%s", tg_dataset_message(d));
    tg_dataset_free(d);
    size_t bytes;
    unsigned char *images = idx_images(3, 3, 3, &bytes);
    folder_write(&f, "train-images-idx3-ubyte", images, bytes);
    d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_idx(d, f.path, "train", tg_model_schema(tg_mlp_model(m))),
                 TG_EFORMAT);
    cr_assert_not_null(
        strstr(tg_dataset_message(d),
               "train-images-idx3-ubyte: byte 8: images of 9 pixels for a model with 8 inputs"),
        "%s", tg_dataset_message(d));
    free(images);
    tg_dataset_free(d);
    tg_mlp_free(m);
    folder_free(&f);
}

/* ---------------------------------------------------------------- short memory */

Test(data, every_failing_allocation_is_reported_and_nothing_leaks)
{
    folder f = folder_new();
    folder_text(&f, "data.csv", "a,b,c\n1,2,x\n3,4,y\n5,6,z\n7,8,x\n");
    bool done = false;
    for (long long at = 1; !done; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator a = test_allocator(&memory);
        tg_dataset *d = tg_dataset_new(&a), *train = NULL, *test = NULL;
        tg_dataset_read_csv(d, f.file, NULL);
        tg_dataset_split_random(d, 0.5, 0, &train, &test);
        done = tg_dataset_status(d) == TG_OK;
        if (!done) cr_assert_eq(tg_dataset_status(d), TG_ENOMEM);
        tg_dataset_free(train);
        tg_dataset_free(test);
        tg_dataset_free(d);
        cr_assert_eq(memory.blocks, 0);
        cr_assert_eq(memory.wrong, 0);
        cr_assert_lt(at, 1000);
    }
    folder_free(&f);
}

Test(data, null_and_wrong_options_are_refused)
{
    tg_dataset *empty = tg_dataset_new(NULL), *none = tg_dataset_select(empty, 0, NULL);
    cr_expect_eq(tg_dataset_status(none), TG_ESTATE, "%s", tg_dataset_message(none));
    tg_dataset_free(none);
    tg_dataset_free(empty);
    cr_assert_eq(tg_dataset_status(NULL), TG_ENOMEM);
    cr_assert_eq(tg_dataset_read_csv(NULL, "x", NULL), TG_ENOMEM);
    cr_assert_eq(tg_dataset_read_idx(NULL, "x", "train", NULL), TG_ENOMEM);
    cr_assert_eq(tg_dataset_rows(NULL), 0);
    cr_assert_null(tg_dataset_x(NULL));
    tg_dataset_free(NULL);
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_csv(d, NULL, NULL), TG_ENULL);
    tg_dataset_free(d);
    d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_csv(d, "x", &(tg_csv_options){.size = 0}), TG_EVALUE);
    tg_dataset_free(d);
    d = tg_dataset_select(NULL, 0, NULL);
    cr_assert_eq(tg_dataset_status(d), TG_ENOMEM);
    tg_dataset_free(d);
    cr_assert_eq(tg_task_of("regression"), TG_TASK_REGRESSION);
    cr_assert_eq(tg_task_of("x"), TG_TASK_COUNT);
    cr_assert_str_eq(tg_task_name(TG_TASK_COUNT), "?");
}
