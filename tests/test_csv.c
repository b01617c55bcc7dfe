/* CSV files as people have them. */
#define _XOPEN_SOURCE 700
#include "folder.h"

#include <math.h>
#include <time.h>

#include <tapegrad/models.h>

#define OPTIONS(...) \
    &(tg_csv_options) { .size = sizeof(tg_csv_options), __VA_ARGS__ }
#define NAMES(...) \
    (const char *const[]) { __VA_ARGS__ }

/* A data set read from this text. */
static tg_dataset *read_text(const char *text, const tg_csv_options *options)
{
    folder f = folder_new();
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_read_csv(d, folder_text(&f, "data.csv", text), options);
    folder_free(&f);
    return d;
}

static void refused(const char *text, const tg_csv_options *options, const char *message)
{
    tg_dataset *d = read_text(text, options);
    const char *found = strstr(tg_dataset_message(d), "data.csv");
    cr_expect_eq(tg_dataset_status(d), TG_EFORMAT, "'%s' instead of '%s'", tg_dataset_message(d),
                 message);
    cr_expect_str_eq(found ? found : "", message);
    tg_dataset_free(d);
}

static void has_note(const tg_dataset *d, const char *text)
{
    for (int64_t k = 0; k < tg_dataset_notes(d); k++)
        if (strstr(tg_dataset_note(d, k), text)) return;
    cr_expect(false, "no note says '%s'", text);
}

/* Reads it and compares features, as "name name: x x, x x" with the targets behind. */
static tg_dataset *holds(const char *text, const tg_csv_options *options, const char *expected)
{
    char y[1000] = "";
    tg_dataset *d = read_text(text, options);
    cr_expect_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    for (int64_t k = 0; k < tg_dataset_features(d); k++)
        sprintf(y + strlen(y), "%s ", tg_dataset_feature_name(d, k));
    sprintf(y + strlen(y), "-> %s", tg_dataset_target_name(d));
    for (int64_t i = 0; i < tg_dataset_rows(d); i++) {
        strcat(y, ";");
        for (int64_t k = 0; k < tg_dataset_features(d); k++)
            sprintf(y + strlen(y), " %g", (double)tg_dataset_x(d)[i * tg_dataset_features(d) + k]);
        if (tg_dataset_numbers(d))
            sprintf(y + strlen(y), " -> %g", (double)tg_dataset_numbers(d)[i]);
        else sprintf(y + strlen(y), " -> %s", tg_dataset_label(d, tg_dataset_class_numbers(d)[i]));
    }
    cr_expect_str_eq(y, expected);
    return d;
}

static void holds_only(const char *text, const tg_csv_options *options, const char *expected)
{
    tg_dataset_free(holds(text, options, expected));
}

/* ---------------------------------------------------------------- separators */

Test(csv, the_delimiter_is_guessed_and_told)
{
    static const struct {
        const char *text, *note;
    } cases[] = {
        {"a;b;y\n1;-.5;yes\n2;2;no\n", "separated by a semicolon"},
        {"a\tb\ty\n1\t-.5\tyes\n2\t2\tno\n", "separated by a tab"},
        {"a|b|y\n1|-.5|yes\n2|2|no\n", "separated by a pipe"},
        {"a;b;y\n1;-0,5;yes\n2;2;no\n", "decimal commas"},
        {"\xEF\xBB\xBF\"a\";\"b\";\"y\"\r\n1;-.5;yes\r\n2;2;no\r\n", "separated by a semicolon"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_dataset *d = holds(cases[k].text, NULL, "a b -> y; 1 -0.5 -> yes; 2 2 -> no");
        has_note(d, cases[k].note);
        tg_dataset_free(d);
    }
    holds_only("a,b,y\n1,2,\"x;y;z\"\n2,3,\"x;u;v\"\n", NULL,
               "a b -> y; 1 2 -> x;y;z; 2 3 -> x;u;v");
    holds_only("a:y\n1:x\n2:z\n", OPTIONS(.delimiter = ':'), "a -> y; 1 -> x; 2 -> z");
    holds_only("a y\n1 x\n2 z\n", OPTIONS(.delimiter = ' '), "a -> y; 1 -> x; 2 -> z");
}

Test(csv, one_column_names_the_delimiter)
{
    refused("a;y\n1;x\n2;z\n", OPTIONS(.delimiter = ','),
            "data.csv:1: one column only, since the delimiter is a comma, but there is ';'");
    refused("a\n1\n", NULL,
            "data.csv:1: one column only: at least one feature and the target are needed, with a "
            "comma, semicolon, tab or pipe between");
    refused("a:y\n1:x\n", NULL,
            "data.csv:1: one column only: at least one feature and the target are needed, with a "
            "comma, semicolon, tab or pipe between; --delimiter "
            "gives another one");
}

Test(csv, decimal_commas_and_points_do_not_mix)
{
    holds_only("a;y\n1,5;2,5\n2;3\n", NULL, "a -> y; 1.5 -> 2.5; 2 -> 3");
    holds_only("a,y\n\"1,5\",x\n\"2,5\",z\n", OPTIONS(.decimal_comma = true),
               "a -> y; 1.5 -> x; 2.5 -> z");
    refused("a;y\n1,5;x\n2.5;z\n", NULL,
            "data.csv:3: '2.5': decimal points and decimal commas in one file");
    refused("a;y\n1.5;x\n", OPTIONS(.decimal_comma = true),
            "data.csv:2: '1.5': decimal points and decimal commas in one file: --decimal-comma was "
            "given");
    refused("a,y\n\"1,5\",x\n", NULL, "data.csv:2: column 'a': not a number: '1,5'");
}

Test(csv, comments_and_trailing_delimiters_are_left_out)
{
    holds_only("# made by hand\na,b,y\n1,2,x\n# half\n3,4,z\n", OPTIONS(.comment = '#'),
               "a b -> y; 1 2 -> x; 3 4 -> z");
    holds_only("a,b,y\n1,2,\"x\n# no comment\"\n3,4,z\n", OPTIONS(.comment = '#'),
               "a b -> y; 1 2 -> x\n# no comment; 3 4 -> z");
    holds_only("a,b,y,\n1,2,x,\n3,4,z,\n", NULL, "a b -> y; 1 2 -> x; 3 4 -> z");
    holds_only("a,b,y\n1,2,x,\n3,4,z,\n", NULL, "a b -> y; 1 2 -> x; 3 4 -> z");
    refused("a,b,y,\n1,2,x,\n3,4,z,5\n", NULL,
            "data.csv:3: column 4 has no name, but here it holds '5'");
    refused("# a\na,y\nq,x\n", OPTIONS(.comment = '#'),
            "data.csv:3: column 'a': not a number: 'q'; --categorical makes each text of a column "
            "a feature");
}

/* ---------------------------------------------------------------- columns */

Test(csv, a_file_without_a_header_is_not_read_by_accident)
{
    const char *text = "1,-.5,yes\n2,2,no\n";
    refused(text, NULL,
            "data.csv:1: every field here but the target's is a number: --no-header if this line "
            "is data, --header if it holds names");
    holds_only(text, OPTIONS(.no_header = true), "1 2 -> 3; 1 -0.5 -> yes; 2 2 -> no");
    holds_only("400,500,y\n1,2,a\n3,4,b\n", OPTIONS(.header = true),
               "400 500 -> y; 1 2 -> a; 3 4 -> b");
    refused("400,500,y\n1,2,a\n3,4\n", OPTIONS(.no_header = true),
            "data.csv:3: 2 fields where the first row has 3");
}

Test(csv, columns_go_by_name_or_number)
{
    const char *text = "label,p0,p1\nu,1,2\nv,3,4\n";
    holds_only(text, OPTIONS(.target = "label"), "p0 p1 -> label; 1 2 -> u; 3 4 -> v");
    holds_only(text, OPTIONS(.target = "1"), "p0 p1 -> label; 1 2 -> u; 3 4 -> v");
    holds_only(text, OPTIONS(.target = "-3"), "p0 p1 -> label; 1 2 -> u; 3 4 -> v");
    holds_only(text, OPTIONS(.target = "label", .skip = NAMES("p0"), .n_skip = 1),
               "p1 -> label; 2 -> u; 4 -> v");
    holds_only("a,b,note\n1,x,?\n2,z,\n", OPTIONS(.skip = NAMES("-1"), .n_skip = 1),
               "a -> b; 1 -> x; 2 -> z");
    refused(text, OPTIONS(.target = "4"),
            "data.csv:1: no column '4' among the 3 columns 'label' ... 'p1'");
    refused(text, OPTIONS(.target = "label", .skip = NAMES("p0", "p1"), .n_skip = 2),
            "data.csv:1: no column is left for a feature");
    refused(text, OPTIONS(.target = "label", .categorical = NAMES("1"), .n_categorical = 1),
            "data.csv:1: column '1' is the target");
}

Test(csv, an_index_without_a_name_is_skipped_and_told)
{
    tg_dataset *d = holds(",a,y\n0,1,x\n1,2,z\n", NULL, "a -> y; 1 -> x; 2 -> z");
    has_note(d, "column 1 has no name: skipped, as an index");
    tg_dataset_free(d);
    refused("id,a,y\n7,1,x\n8,1,z\n", OPTIONS(.refuse_ids = true),
            "data.csv:1: column 'id' is an id: 2 different whole numbers in as many rows; --skip "
            "leaves it out");
    holds_only("id,y\n7,x\n7,z\n", OPTIONS(.refuse_ids = true), "id -> y; 7 -> x; 7 -> z");
    refused("day,y\n2024-03-31,x\n", NULL,
            "data.csv:2: column 'day': a date: '2024-03-31'; --skip leaves the column out, a count "
            "of days or seconds could stay");
    refused("day,y\n31.12.2024 10:00,x\n", NULL,
            "data.csv:2: column 'day': a date: '31.12.2024 10:00'; --skip leaves the column out, a "
            "count of days or seconds could stay");
}

Test(csv, texts_become_a_feature_each)
{
    holds_only("c,a,y\nred,1,x\nblue,2,z\nred,3,z\n",
               OPTIONS(.categorical = NAMES("c"), .n_categorical = 1),
               "c=blue c=red a -> y; 0 1 1 -> x; 1 0 2 -> z; 0 1 3 -> z");
    holds_only("c,a,y\nred,1,x\n,2,z\n",
               OPTIONS(.categorical = NAMES("c"), .n_categorical = 1, .missing = TG_MISSING_MEAN),
               "c=red a -> y; 1 1 -> x; 0 2 -> z");
}

/* ---------------------------------------------------------------- what is missing */

Test(csv, missing_values_are_refused_skipped_or_filled)
{
    const char *text = "a,b,y\n1,2,u\n?,4,u\n6,NA,v\n2,,v\n";
    refused(text, NULL, "data.csv:3: column 'a': a missing value, '?': --missing says what to do");
    refused("a,y\n1,u\n,v\n", NULL, "data.csv:3: column 'a': empty: --missing says what to do");
    tg_dataset *d = holds(text, OPTIONS(.missing = TG_MISSING_MEAN),
                          "a b -> y; 1 2 -> u; 3 4 -> u; 6 3 -> v; 2 3 -> v");
    has_note(d, "3 missing values are filled with the column's mean");
    tg_dataset_free(d);
    holds_only(text, OPTIONS(.missing = TG_MISSING_MEDIAN),
               "a b -> y; 1 2 -> u; 2 4 -> u; 6 3 -> v; 2 3 -> v");
    holds_only(text, OPTIONS(.missing = TG_MISSING_VALUE, .fill = -1),
               "a b -> y; 1 2 -> u; -1 4 -> u; 6 -1 -> v; 2 -1 -> v");
    d = holds("a,b,y\n1,2,u\n?,4,u\n6,NA,v\n2,9,v\n3,3,\n", OPTIONS(.missing = TG_MISSING_SKIP),
              "a b -> y; 1 2 -> u; 2 9 -> v");
    has_note(d, "3 rows in which a value is missing are left out");
    tg_dataset_free(d);
    refused("a,y\nNA,u\n?,v\n", OPTIONS(.missing = TG_MISSING_MEAN),
            "data.csv:1: column 'a': every value is missing");
    refused("a,y\nNA,u\n?,v\n", OPTIONS(.missing = TG_MISSING_SKIP),
            "data.csv: a value is missing in every row");
}

/* The parts of a data set whose last row is held out. */
static tg_status hold_last_out(tg_dataset *d, tg_dataset **train, tg_dataset **held)
{
    char split[32] = "";
    folder f = folder_new();
    for (int64_t i = 1; i < tg_dataset_rows(d); i++) strcat(split, "0\n");
    const tg_status status =
        tg_dataset_split_file(d, folder_text(&f, "split", strcat(split, "1\n")), train, held);
    folder_free(&f);
    return status;
}

/* The held rows' values are far away: whatever saw them would show it. */
Test(csv, rows_held_out_do_not_enter_fillings)
{
    const char *text = "a,b,y\n1,?,1.5\n1,2,2.5\n?,4,3.5\n3,3,4.5\n1000,?,5.5\n";
    const struct {
        tg_missing missing;
        double a, b;
    } cases[] = {{TG_MISSING_MEAN, 5.0 / 3, 3}, {TG_MISSING_MEDIAN, 1, 3}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        tg_dataset *d = read_text(text, OPTIONS(.missing = cases[k].missing)), *train, *held;
        cr_assert_eq(hold_last_out(d, &train, &held), TG_OK, "%s", tg_dataset_message(d));
        const float *x = tg_dataset_x(train), *y = tg_dataset_x(held);
        cr_expect_eq(x[4], (float)cases[k].a, "%g", (double)x[4]);
        cr_expect_eq(x[1], (float)cases[k].b, "%g", (double)x[1]);
        cr_expect_eq(y[1], (float)cases[k].b, "%g", (double)y[1]);
        cr_expect(x[0] == 1 && x[7] == 3 && y[0] == 1000);

        /* The model made of them fills what it predicts in the same way. */
        tg_mlp *m = tg_mlp_new(train, NULL);
        tg_dataset *next =
            read_text("a,b\n?,?\n", OPTIONS(.schema = tg_model_schema(tg_mlp_model(m))));
        cr_assert_eq(tg_dataset_rows(next), 1, "%s", tg_dataset_message(next));
        cr_expect_eq(tg_dataset_x(next)[0], (float)cases[k].a);
        cr_expect_eq(tg_dataset_x(next)[1], (float)cases[k].b);
        tg_dataset_free(next);
        tg_mlp_free(m);
        tg_dataset_free(train);
        tg_dataset_free(held);
        tg_dataset_free(d);
    }
}

Test(csv, a_column_that_only_held_rows_know_is_refused)
{
    tg_dataset *d = read_text("a,b,y\n1,?,1.5\n2,?,2.5\n3,7,3.5\n",
                              OPTIONS(.missing = TG_MISSING_MEAN)),
               *train, *held;
    cr_expect_eq(hold_last_out(d, &train, &held), TG_EVALUE);
    cr_expect_not_null(strstr(tg_dataset_message(d), "column 'b': every value is missing in the"),
                       "%s", tg_dataset_message(d));
    cr_expect(!train && !held);
    tg_dataset_free(d);
}

Test(csv, a_missing_number_among_targets_is_no_class)
{
    const char *text = "a,y\n1,0.5\n2,NA\n3,1.5\n";
    refused(text, NULL,
            "data.csv:3: column 'y': a missing value, 'NA', among numbers: --missing skip leaves "
            "such rows out");
    holds_only(text, OPTIONS(.missing = TG_MISSING_SKIP), "a -> y; 1 -> 0.5; 3 -> 1.5");
    holds_only("a,y\n1,EU\n2,NA\n3,EU\n", NULL, "a -> y; 1 -> EU; 2 -> NA; 3 -> EU");
}

/* North America is a class unless rows without one are to be left out, and one of the model's. */
Test(csv, a_text_that_is_called_as_a_missing_value_is_mentioned)
{
    const char *text = "c,y\nx,EU\nnone,NA\nx,US\n";
    tg_dataset *d = holds(text, OPTIONS(.categorical = NAMES("c"), .n_categorical = 1),
                          "c=none c=x -> y; 0 1 -> EU; 1 0 -> NA; 0 1 -> US");
    has_note(d, "column 'y': 'NA' is a class; --missing says otherwise");
    has_note(d, "column 'c': 'none' is a level of its own; --missing says otherwise");
    tg_mlp *m = tg_mlp_new(d, NULL);
    holds_only("y,c\nNA,x\nEU,x\n,x\n",
               OPTIONS(.schema = tg_model_schema(tg_mlp_model(m)), .missing = TG_MISSING_SKIP),
               "c=none c=x -> y; 0 1 -> NA; 0 1 -> EU");
    tg_mlp_free(m);
    tg_dataset_free(d);
    holds_only(text,
               OPTIONS(.categorical = NAMES("c"), .n_categorical = 1, .missing = TG_MISSING_VALUE),
               "c=x -> y; 1 -> EU; 0 -> NA; 1 -> US");
    holds_only("a,y\n1,u\n2,NA\n3,v\n", OPTIONS(.missing = TG_MISSING_SKIP),
               "a -> y; 1 -> u; 3 -> v");
    refused("c,y\nx,u\n,v\n", OPTIONS(.categorical = NAMES("c"), .n_categorical = 1),
            "data.csv:3: column 'c': empty: --missing says what to do");
}

Test(csv, labels_beyond_what_doubles_tell_apart_are_different_classes)
{
    holds_only("a,y\n1,9007199254740993\n2,9007199254740992\n3,9007199254740992\n4,1.0\n", NULL,
               "a -> y; 1 -> 9007199254740993; 2 -> 9007199254740992; 3 -> 9007199254740992; "
               "4 -> 1");
}

Test(csv, the_target_is_not_looked_at_where_nobody_wants_it)
{
    tg_dataset *d = holds("a,y\n1,u\n2,v\n", NULL, "a -> y; 1 -> u; 2 -> v");
    tg_mlp *m = tg_mlp_new(d, NULL);
    tg_dataset *next = read_text(
        "y,a\n,1\nw,2\n", OPTIONS(.schema = tg_model_schema(tg_mlp_model(m)), .no_target = true));
    cr_assert_eq(tg_dataset_rows(next), 2, "%s", tg_dataset_message(next));
    cr_expect_eq(tg_dataset_x(next)[1], 2);
    cr_expect_null(tg_dataset_class_numbers(next));
    tg_dataset_free(next);
    tg_mlp_free(m);
    tg_dataset_free(d);
}

Test(csv, a_row_that_lacks_a_field_says_how_many_are_wanted)
{
    refused("a,b,y\n1,-0.5,yes\n2,yes\n3,4.5,no\n", NULL,
            "data.csv:3: 2 fields where the header has 3");
}

/* ---------------------------------------------------------------- targets */

static tg_dataset *letters(int first, int different, int rows, int without)
{
    char text[60000] = "x,y\n";
    size_t n = strlen(text);
    for (int i = 0; i < different * rows; i++)
        if (i % different != without)
            n += (size_t)sprintf(text + n, "%d,%d\n", i, i % different + first);
    return read_text(text, NULL);
}

Test(csv, numbered_classes_without_gaps_are_classes)
{
    static const struct {
        int first, different, rows, without;
        int64_t classes;
    } cases[] = {{0, 26, 10, -1, 26}, {1, 26, 10, -1, 26}, {2, 26, 10, -1, 0},
                 {0, 26, 9, -1, 0},   {0, 26, 10, 7, 0},   {0, 20, 2, -1, 20}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_dataset *d =
            letters(cases[k].first, cases[k].different, cases[k].rows, cases[k].without);
        cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
        cr_expect_eq(tg_dataset_classes(d), cases[k].classes, "%zu: %d", k,
                     (int)tg_dataset_classes(d));
        tg_dataset_free(d);
    }
}

Test(csv, target_and_task_are_told_with_the_reason)
{
    static const struct {
        const char *text, *note;
    } cases[] = {
        {"a,y\n1,u\n2,v\n", "the target is 'y' (the last column; --target names another); the task "
                            "is binary: its values are texts, 2 different ones; --task says"},
        {"a,y\n1,.5\n2,2\n", "the task is regression: its values are numbers, and not all whole; "
                             "--task says otherwise"},
        {"a,y\n1,5\n2,2\n3,7\n", "the task is multiclass: its values are whole numbers, 3 "
                                 "different ones; --task says otherwise"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_dataset *d = read_text(cases[k].text, NULL);
        has_note(d, cases[k].note);
        tg_dataset_free(d);
    }
    tg_dataset *d =
        read_text("a,y\n1,5\n2,2\n3,7\n", OPTIONS(.task = TG_TASK_REGRESSION, .target = "y"));
    has_note(d, "the target is 'y'; the task is regression: as --task says");
    tg_dataset_free(d);
}

/* ---------------------------------------------------------------- numbers that f32 can't hold */

static double accuracy(double offset, bool target)
{
    enum { ROWS = 100 };
    char text[ROWS * 60] = "time,y\n";
    size_t n = strlen(text);
    for (int i = 0; i < ROWS; i++) {
        const double x = offset + i * 37 % ROWS;
        n += (size_t)(target ? sprintf(text + n, "%d,%.1f\n", i * 37 % ROWS, x + .5)
                             : sprintf(text + n, "%.0f,%s\n", x,
                                       i * 37 % ROWS < 50 ? "early" : "late"));
    }
    tg_dataset *d = read_text(text, NULL);
    tg_mlp *m = tg_mlp_new(d, &(tg_mlp_options){.size = sizeof(tg_mlp_options)});
    tg_metrics y = {0};
    tg_optim *o = tg_adam_new(tg_mlp_params(m), &(tg_adam_options){.size = sizeof(tg_adam_options),
                                                                   .learning_rate = .05});
    tg_fit(tg_mlp_model(m), d,
           &(tg_fit_options){.size = sizeof(tg_fit_options), .epochs = 60, .optimizer = o});
    tg_evaluate(tg_mlp_model(m), d, &y, NULL);
    cr_expect_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
    tg_optim_free(o);
    tg_mlp_free(m);
    tg_dataset_free(d);
    return target ? y.r2 : y.accuracy;
}

/* f32 has steps of 128 at 1.7e9: rounding must come after standardising. */
Test(csv, timestamps_keep_their_differences)
{
    cr_expect_geq(accuracy(1700000000, false), .97);
    cr_expect_eq(accuracy(1700000000, false), accuracy(0, false));
    cr_expect_geq(accuracy(1700000000, true), .999);
}

/* ---------------------------------------------------------------- models remember how to read */

Test(csv, a_saved_model_keeps_levels_and_fillings)
{
    folder f = folder_new();
    tg_dataset *d = read_text(
        "c,a,y\nred,1,u\nblue,2,v\nred,?,u\ngreen,6,v\n",
        OPTIONS(.categorical = NAMES("c"), .n_categorical = 1, .missing = TG_MISSING_MEAN));
    tg_mlp *m = tg_mlp_new(d, &(tg_mlp_options){.size = sizeof(tg_mlp_options)});
    tg_fit(tg_mlp_model(m), d, NULL);
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK, "%s", tg_mlp_message(m));
    tg_mlp_free(m);
    tg_dataset_free(d);
    m = tg_mlp_load(f.file, NULL);
    cr_assert_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
    holds_only("y,a,c\nv,?,green\nu,3,\n", OPTIONS(.schema = tg_model_schema(tg_mlp_model(m))),
               "c=blue c=green c=red a -> y; 0 1 0 3 -> v; 0 0 0 3 -> u");
    refused("y,a,c\nv,1,black\n", OPTIONS(.schema = tg_model_schema(tg_mlp_model(m))),
            "data.csv:2: column 'c': 'black' is none of the model's 3 levels");
    refused("1,red\n", OPTIONS(.schema = tg_model_schema(tg_mlp_model(m))),
            "data.csv:1: no column 'c', which the model needs");
    refused("1,2\n", OPTIONS(.schema = tg_model_schema(tg_mlp_model(m))),
            "data.csv:1: no column 'c', which the model needs: every field of this line is a "
            "number; --no-header if it is data");
    tg_mlp_free(m);
    folder_free(&f);
}

/* ---------------------------------------------------------------- long and wide */

static double seconds_for(const char *text, const tg_schema *schema)
{
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    tg_dataset *d = read_text(text, OPTIONS(.schema = schema));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    cr_expect_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    tg_dataset_free(d);
    return (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
}

Test(csv, forty_thousand_columns_are_found_at_once, .timeout = 60)
{
    enum { COLUMNS = 40000 };
    char *text = malloc(COLUMNS * 16 + 100);
    size_t n = 0;
    for (int k = 0; k < COLUMNS; k++) n += (size_t)sprintf(text + n, "column%d,", k);
    n += (size_t)sprintf(text + n, "y\n");
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < COLUMNS; k++) n += (size_t)sprintf(text + n, "%d,", i);
        n += (size_t)sprintf(text + n, "%c\n", 'u' + i);
    }
    tg_dataset *d = read_text(text, NULL);
    tg_mlp *m = tg_mlp_new(d, &(tg_mlp_options){.size = sizeof(tg_mlp_options)});
    /* Searching each name among all of them took seconds. */
    cr_expect_lt(seconds_for(text, tg_model_schema(tg_mlp_model(m))), 1);
    tg_mlp_free(m);
    tg_dataset_free(d);
    free(text);
}

Test(csv, a_field_of_megabytes_is_read_at_once, .timeout = 60)
{
    enum { LONG = 8 << 20 };
    char *text = malloc(LONG + 100);
    size_t n = (size_t)sprintf(text, "note,a,y\n");
    memset(text + n, 'x', LONG);
    strcpy(text + n + LONG, ",1,u\nz,2,v\n");
    tg_dataset *d = read_text(text, OPTIONS(.skip = NAMES("note"), .n_skip = 1));
    cr_expect_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    cr_expect_eq(tg_dataset_rows(d), 2);
    tg_dataset_free(d);
    free(text);
}

/* Every part and fold has the mean of what its training part knows, in each hole. */
Test(csv, parts_are_filled_from_what_is_trained_on)
{
    char text[2000] = "a,y\n";
    for (int i = 0; i < 60; i++) {
        const size_t n = strlen(text);
        if (i % 4 == 0) snprintf(text + n, sizeof text - n, "NA,%s\n", i % 3 ? "u" : "v");
        else snprintf(text + n, sizeof text - n, "%d.5,%s\n", i, i % 3 ? "u" : "v");
    }
    tg_dataset *d = read_text(text, OPTIONS(.missing = TG_MISSING_MEAN)), *y[5] = {NULL};
    const double fraction[] = {0.5, 0.25, 0.25};
    cr_assert_eq(tg_dataset_split(d, 3, fraction, 1, y), TG_OK, "%s", tg_dataset_message(d));
    cr_assert_eq(tg_dataset_fold(d, 4, 2, 1, &y[3], &y[4]), TG_OK);
    for (int first = 0, end = 3; first < 5; first = end, end = 5) {
        double sum = 0;
        int known = 0, holes = 0;
        float fill = NAN;
        for (int k = first; k < end; k++)
            for (int64_t i = 0; i < tg_dataset_rows(y[k]); i++) {
                const float x = tg_dataset_x(y[k])[i];
                const bool given = fmodf(x, 1) == 0.5F; /* as no mean is here */
                if (given && k == first) sum += (double)x, known++;
                if (given) continue;
                holes++;
                cr_expect(isnan(fill) || x == fill, "%g and %g", (double)x, (double)fill);
                fill = x;
            }
        cr_expect_eq(holes, 15);
        cr_expect_float_eq(fill, sum / known, 1e-5);
    }
    for (int k = 0; k < 5; k++) tg_dataset_free(y[k]);
    tg_dataset_free(d);
}
