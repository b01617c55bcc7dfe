/* The command line's words. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main.h"

static char *complaint; /* NULL: standard error */
static size_t complaint_room;

void complain_to(char *text, size_t room)
{
    complaint = text;
    complaint_room = room;
    if (text) *text = 0;
}

int complain(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!complaint) {
        fputs("tapegrad: ", stderr);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
    } else if (!*complaint) {
        vsnprintf(complaint, complaint_room, format, arguments);
    }
    va_end(arguments);
    return status;
}

/* ---------------------------------------------------------------- values */

static bool real_value(const char *name, const char *text, double low, double high, double *y)
{
    char *end = NULL;
    *y = strtod(text, &end);
    if (end != text && !*end && *y >= low && *y <= high) return true;
    return complain(0, "%s: '%s' is not a number from %g to %g", name, text, low, high), false;
}

static bool whole_value(const char *name, const char *text, int64_t low, int64_t high, int64_t *y)
{
    char *end = NULL;
    errno = 0;
    *y = strtoll(text, &end, 10);
    if (end != text && !*end && !errno && *y >= low && *y <= high) return true;
    return complain(0, "%s: '%s' is not a whole number from %lld to %lld", name, text,
                    (long long)low, (long long)high),
           false;
}

static bool hidden_value(const char *text, request *r)
{
    r->n_hidden = 0;
    if (!strcmp(text, "none")) return true;
    for (const char *at = text;;) {
        char *end = NULL;
        errno = 0;
        const long long size = strtoll(at, &end, 10);
        const bool good =
            end != at && !errno && size >= 1 && size <= INT32_MAX && (*end == ',' || !*end);
        if (!good)
            return complain(0, "--hidden: '%s' is not a list of sizes such as 64,32 (or none)",
                            text),
                   false;
        if (r->n_hidden == MOST_LAYERS)
            return complain(0, "--hidden: more than %d layers", MOST_LAYERS), false;
        r->hidden[r->n_hidden++] = size;
        if (!*end) return true;
        at = end + 1;
    }
}

/* A name out of a list "a, b, c". */
static bool listed(const char *name, const char *list)
{
    const size_t n = strlen(name);
    for (const char *at = list; n && (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ' ') && (!at[n] || at[n] == ',')) return true;
    return false;
}

/* ---------------------------------------------------------------- options */

typedef bool option_fn(const char *name, const char *text, request *r);

static bool set_target(const char *name, const char *text, request *r)
{
    return (void)name, r->csv.target = text, true;
}
static bool set_output(const char *name, const char *text, request *r)
{
    return (void)name, r->output = text, true;
}
static bool set_name(const char *name, const char *text, request *r)
{
    return (void)name, r->name = text, true;
}
static bool set_header_file(const char *name, const char *text, request *r)
{
    return (void)name, r->header = text, true;
}
static bool set_with_test(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->with_test = true;
}
static bool set_test(const char *name, const char *text, request *r)
{
    return (void)name, r->test = text, true;
}
static bool set_split(const char *name, const char *text, request *r)
{
    return (void)name, r->split = text, true;
}
static bool set_save(const char *name, const char *text, request *r)
{
    return (void)name, r->save = text, true;
}
static bool set_history(const char *name, const char *text, request *r)
{
    return (void)name, r->history = text, true;
}
static bool set_report(const char *name, const char *text, request *r)
{
    return (void)name, r->report = text, true;
}
static bool set_profile(const char *name, const char *text, request *r)
{
    return (void)name, r->profile = text, true;
}
static bool set_hidden(const char *name, const char *text, request *r)
{
    return (void)name, r->mlp = true, hidden_value(text, r);
}
static bool set_json(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->json = true;
}
static bool set_quiet(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->quiet = true;
}
static bool set_plain(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->no_standardize = true;
}
static bool set_lr(const char *name, const char *text, request *r)
{
    return real_value(name, text, 0, 1e6, &r->lr);
}
static bool set_momentum(const char *name, const char *text, request *r)
{
    return real_value(name, text, 0, 1, &r->momentum);
}
static bool set_decay(const char *name, const char *text, request *r)
{
    return real_value(name, text, 0, 1e6, &r->weight_decay);
}
static bool set_dropout(const char *name, const char *text, request *r)
{
    r->mlp = true;
    return real_value(name, text, 0, 1, &r->dropout);
}
static bool set_batch(const char *name, const char *text, request *r)
{
    return whole_value(name, text, 1, INT32_MAX, &r->batch);
}
static bool set_leaves(const char *name, const char *text, request *r)
{
    return whole_value(name, text, 1, 1 << 20, &r->leaves);
}
static bool set_size(const char *name, const char *text, request *r)
{
    return whole_value(name, text, 1, INT32_MAX, &r->size);
}
static bool set_epochs(const char *name, const char *text, request *r)
{
    return whole_value(name, text, 1, INT32_MAX, &r->epochs);
}

static bool set_validation(const char *name, const char *text, request *r)
{
    if (!real_value(name, text, 0, 1, &r->validation)) return false;
    return r->validation < 1 ||
           (complain(0, "%s: nothing would be left for training", name), false);
}

static bool set_folds(const char *name, const char *text, request *r)
{
    return whole_value(name, text, 2, MOST_FOLDS, &r->cross_validate);
}

static bool set_seed(const char *name, const char *text, request *r)
{
    int64_t seed;
    if (!whole_value(name, text, 0, INT64_MAX, &seed)) return false;
    r->seed = (uint64_t)seed;
    return true;
}

static bool set_threads(const char *name, const char *text, request *r)
{
    int64_t threads;
    if (!whole_value(name, text, 1, 1024, &threads)) return false;
    r->threads = (int)threads;
    return true;
}

static bool set_task(const char *name, const char *text, request *r)
{
    r->csv.task = tg_task_of(text);
    return r->csv.task != TG_TASK_COUNT ||
           (complain(0, "%s: '%s' is none of auto, binary, multiclass, regression", name, text),
            false);
}

static bool set_loss(const char *name, const char *text, request *r)
{
    r->loss = tg_head_of(text);
    return r->loss != TG_HEAD_COUNT ||
           (complain(0, "%s: '%s' is none of auto, bce, mse, cross_entropy", name, text), false);
}

static bool set_optimizer(const char *name, const char *text, request *r)
{
    return (void)name, r->optimizer = text, true;
}
static bool set_schedule(const char *name, const char *text, request *r)
{
    return (void)name, r->schedule = text, true;
}
static bool set_clip(const char *name, const char *text, request *r)
{
    return real_value(name, text, 0, 1e300, &r->clip);
}
static bool set_accumulate(const char *name, const char *text, request *r)
{
    return whole_value(name, text, 1, INT32_MAX, &r->accumulate);
}
static bool set_group(const char *name, const char *text, request *r)
{
    if (r->n_groups == MOST_GROUPS)
        return complain(0, "%s: more than %d groups", name, MOST_GROUPS), false;
    return r->group[r->n_groups++] = text, true;
}

static bool set_activation(const char *name, const char *text, request *r)
{
    r->activation = text;
    r->mlp = true;
    return listed(text, tg_activation_names()) ||
           (complain(0, "%s: '%s' is none of %s", name, text, tg_activation_names()), false);
}

static bool set_model(const char *name, const char *text, request *r)
{
    return (void)name, r->layers = strcmp(text, "mlp") != 0 ? text : NULL, true;
}

/* ---------------------------------------------------------------- checkpoints, and when to stop */

static bool set_checkpoint(const char *name, const char *text, request *r)
{
    return (void)name, r->checkpoint = text, true;
}
static bool set_resume(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->resume = true;
}
static bool set_watch(const char *name, const char *text, request *r)
{
    return (void)name, r->watch = text, true;
}
static bool set_best(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->best = true;
}
static bool set_patience(const char *name, const char *text, request *r)
{
    return whole_value(name, text, 1, INT32_MAX, &r->patience);
}
static bool set_better(const char *name, const char *text, request *r)
{
    return real_value(name, text, 0, 1e300, &r->better_by);
}
static bool set_average(const char *name, const char *text, request *r)
{
    return real_value(name, text, 0, 1, &r->average);
}
static bool set_average_from(const char *name, const char *text, request *r)
{
    return whole_value(name, text, 1, INT32_MAX, &r->average_from);
}

/* "30s", "5min", "2h", "100steps", "epoch" */
static bool set_every(const char *name, const char *text, request *r)
{
    static const struct {
        const char *unit;
        double seconds; /* 0: steps */
    } units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"steps", 0}, {"step", 0}};
    char *end = NULL;
    r->every_steps = 0;
    r->every_seconds = 0;
    if (!strcmp(text, "epoch")) return true;
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    for (size_t k = 0; k < sizeof units / sizeof units[0]; k++) {
        if (end == text || errno || n < 1 || n > INT32_MAX || strcmp(end, units[k].unit) != 0)
            continue;
        if (units[k].seconds > 0) r->every_seconds = (double)n * units[k].seconds;
        else r->every_steps = n;
        return true;
    }
    return complain(0, "%s: '%s' is none of 30s, 5min, 100steps, epoch", name, text), false;
}

/* ---------------------------------------------------------------- how CSV files are read */

static bool set_header(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->csv.header = true;
}
static bool set_no_header(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->csv.no_header = true;
}
static bool set_comma(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->csv.decimal_comma = true;
}
static bool set_no_ids(const char *name, const char *text, request *r)
{
    return (void)name, (void)text, r->csv.refuse_ids = true;
}

static bool set_delimiter(const char *name, const char *text, request *r)
{
    static const struct {
        const char *name;
        char character;
    } names[] = {{"comma", ','}, {"semicolon", ';'}, {"tab", '\t'},
                 {"\\t", '\t'},  {"pipe", '|'},      {"space", ' '}};
    r->csv.delimiter = text[0];
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        if (!strcmp(text, names[k].name)) return r->csv.delimiter = names[k].character, true;
    return (text[0] && !text[1] && text[0] != '"') ||
           (complain(0, "%s: '%s' is not one character, nor comma, semicolon, tab, pipe or space",
                     name, text),
            false);
}

static bool set_comment(const char *name, const char *text, request *r)
{
    r->csv.comment = text[0];
    return (text[0] && !text[1]) ||
           (complain(0, "%s: '%s' is not one character", name, text), false);
}

static bool set_missing(const char *name, const char *text, request *r)
{
    static const char *const names[] = {"refuse", "skip", "mean", "median"};
    for (int k = 0; k < 4; k++)
        if (!strcmp(text, names[k])) return r->csv.missing = (tg_missing)k, true;
    char *end = NULL;
    r->csv.missing = TG_MISSING_VALUE;
    r->csv.fill = strtod(text, &end);
    return (end != text && !*end && isfinite(r->csv.fill)) ||
           (complain(0, "%s: '%s' is none of refuse, skip, mean, median, nor a number", name, text),
            false);
}

/* Columns apart by commas, added to a list. */
static bool columns(const char *name, char *text, const char **list, int *n)
{
    for (char *end; text; text = end) {
        if (*n == MOST_COLUMNS)
            return complain(0, "%s: more than %d columns", name, MOST_COLUMNS), false;
        end = strchr(text, ',');
        if (end) *end++ = 0;
        list[(*n)++] = text;
    }
    return true;
}

/* The words of a command line may be changed. */
static bool set_skip(const char *name, const char *text, request *r)
{
    return columns(name, (char *)(uintptr_t)text, r->skip, &r->csv.n_skip);
}

static bool set_categorical(const char *name, const char *text, request *r)
{
    return columns(name, (char *)(uintptr_t)text, r->categorical, &r->csv.n_categorical);
}

/* Names apart by commas. */
static bool set_measures(const char *name, const char *text, request *r)
{
    for (char *at = (char *)(uintptr_t)text, *end; at; at = end) {
        if (r->n_measures == MOST_MEASURES)
            return complain(0, "%s: more than %d measures", name, MOST_MEASURES), false;
        end = strchr(at, ',');
        if (end) *end++ = 0;
        r->measure[r->n_measures++] = at;
    }
    return true;
}

typedef struct option {
    const char *name, *value; /* value NULL: the option stands alone; name NULL: a heading */
    option_fn *set;
    const char *help;
} option;
#define HEADING(text)          \
    {                          \
        NULL, NULL, NULL, text \
    }

/* How a CSV file is written; predict and evaluate need to know too. */
/* clang-format off */
#define FORMAT_OPTIONS \
    {"--delimiter", "C", set_delimiter, "between fields; default: guessed among , ; tab |"}, \
    {"--decimal-comma", NULL, set_comma, "numbers have decimal commas"}, \
    {"--comment", "C", set_comment, "lines that begin with it are left out"}, \
    {"--header", NULL, set_header, "the first line holds names, though they are numbers"}, \
    {"--no-header", NULL, set_no_header, "the first line is data; columns are named 1, 2, ..."}
/* clang-format on */

static const option train_options[] = {
    HEADING("Data: tapegrad train wine.csv --target quality --test new.csv"),
    {"--target", "COLUMN", set_target, "name or number of the target; default: the last column"},
    {"--skip", "COLUMNS", set_skip, "leave these out: names or numbers, commas between"},
    {"--categorical", "COLUMNS", set_categorical, "each of their texts becomes a feature"},
    {"--missing", "WHAT", set_missing, "refuse (default), skip the row, mean, median or a number"},
    {"--refuse-ids", NULL, set_no_ids, "refuse columns of whole numbers that are all different"},
    {"--task", "TASK", set_task, "auto, binary, multiclass or regression; default: auto"},
    {"--test", "FILE", set_test, "another CSV file to test on"},
    {"--split", "FILE", set_split, "one line a row: 0 to train on it, 1 to test on it"},
    {"--validation", "FRACTION", set_validation,
     "hold rows out at random; default without a test set: 0.2; 0: none"},
    {"--cross-validate", "K", set_folds,
     "train K nets, each on all rows but a K-th, which it is tested on; mean and deviation of "
     "their scores"},
    {"--no-standardize", NULL, set_plain, "use features and target as they are"},
    HEADING("How the CSV is written: --delimiter ';' --decimal-comma"),
    FORMAT_OPTIONS,
    HEADING("Net: --hidden 128,64 --activation gelu --dropout 0.1; or --model 'conv 16 3, relu, "
            "maxpool 2, flatten, linear'"),
    {"--model", "LAYERS", set_model,
     "mlp (default: a multilayer net), or layers with commas between; man tg_layers says which. A "
     "last 'linear' has as many outputs as are wanted"},
    {"--hidden", "SIZES", set_hidden,
     "sizes of the hidden layers; default: 64,32; none: a linear model"},
    {"--activation", "NAME", set_activation,
     "relu (default), leaky_relu, elu, gelu, silu, sigmoid, tanh, ..."},
    {"--dropout", "P", set_dropout, "probability behind each hidden layer; default: 0"},
    {"--loss", "LOSS", set_loss, "auto (default), bce, mse or cross_entropy"},
    HEADING("Training: --optimizer 'adamw beta2=0.98' --schedule 'linear steps=5%; cosine' "
            "--clip 1 --group '*.bias: weight_decay=0'"),
    {"--optimizer", "NAME", set_optimizer,
     "adam (default), sgd, ...; settings may follow its name; `tapegrad optimizers` lists them"},
    {"--lr", "RATE", set_lr, "learning rate; default: the optimizer's"},
    {"--momentum", "M", set_momentum, "of the optimizer, when it has one"},
    {"--weight-decay", "L", set_decay, "default: the optimizer's"},
    {"--group", "PATTERN: SETTINGS", set_group,
     "parameters with names like this have other settings, or another optimizer; again for more"},
    {"--schedule", "NAME", set_schedule,
     "of the learning rate, with settings; `tapegrad schedules` lists them. Steps: 100, "
     "10epochs or 5% of all; one after the other with ; between"},
    {"--clip", "NORM", set_clip,
     "limit the norm of all gradients; one that is not finite ends the training"},
    {"--accumulate", "N", set_accumulate, "step with the mean gradient of N batches; default: 1"},
    {"--batch", "ROWS", set_batch, "rows a step; default: 32, for images 64"},
    {"--leaves", "N", set_leaves,
     "parts of a batch that are added up in a fixed order, which ranks share out; default: batch / "
     "64, from 1 to 16"},
    {"--epochs", "N", set_epochs, "passes over the data; default: 100, for images 5"},
    {"--seed", "N", set_seed, "of initial values, dropout, order and --validation; default: 0"},
    {"--threads", "N", set_threads, "default: all cores; never changes a result"},
    HEADING("Stopping: --patience 10 --watch f1 --checkpoint wine.run --every 30s"),
    {"--patience", "N", set_patience,
     "end after N epochs that brought nothing better on the rows held out, with the weights of "
     "the best one"},
    {"--watch", "MEASURE", set_watch, "what has to get better; default: the loss"},
    {"--better-by", "X", set_better, "less than that is nothing better; default: 0"},
    {"--best", NULL, set_best, "end with the weights of the best epoch in any case"},
    {"--average", "DECAY", set_average,
     "of the weights, over the steps, to be tested and saved instead of them; 0.999, or 1: all "
     "alike"},
    {"--average-from", "EPOCH", set_average_from, "average from it on; default: 1"},
    {"--checkpoint", "FOLDER", set_checkpoint,
     "save there all that is needed to go on, also on Ctrl-C"},
    {"--every", "TIME", set_every, "30s, 5min, 100steps or epoch; default: epoch"},
    {"--resume", NULL, set_resume,
     "go on from the checkpoint, if there is one: the result is the same as without a stop"},
    HEADING("Results: --save wine.safetensors --history wine-epochs.csv --quiet"),
    {"--save", "MODEL", set_save, "write the model to this file (safetensors)"},
    {"--history", "FILE", set_history,
     "write loss and scores of each epoch: CSV, or JSON Lines to a FILE.jsonl"},
    {"--measures", "NAMES", set_measures,
     "also compute these: accuracy, f1, auc, mae, ..., commas between, or all"},
    {"--report", "FILE.html", set_report,
     "write one page that shows what was learnt, and where the time goes"},
    {"--profile", "TRACE.json", set_profile,
     "measure each op: print a table, write a trace for https://ui.perfetto.dev"},
    {"--json", NULL, set_json, "print one JSON object, on one line, last"},
    {"--quiet", NULL, set_quiet, "no progress"},
};

static const option evaluate_options[] = {
    FORMAT_OPTIONS,
    {"--measures", "NAMES", set_measures,
     "also compute these: accuracy, f1, auc, mae, ..., commas between, or all"},
    {"--missing", "WHAT", set_missing, "refuse (default) or skip the row; a model may fill"},
    {"--threads", "N", set_threads, "default: all cores"},
    {"--json", NULL, set_json, "print one JSON object, on one line"},
};

static const option check_options[] = {
    FORMAT_OPTIONS,
    {"--missing", "WHAT", set_missing, "refuse (default) or skip the row; a model may fill"},
    {"--json", NULL, set_json, "print one JSON object, on one line"},
};

static const option bench_options[] = {
    {"--size", "N", set_size, "default: 65536; elements, where the op takes any shape"},
    {"--threads", "N", set_threads, "default: 1"},
    {"--json", NULL, set_json, "a list of objects, times in seconds"},
};

static const option predict_options[] = {
    FORMAT_OPTIONS,
    {"--missing", "WHAT", set_missing, "refuse (default) or skip the row; a model may fill"},
    {"--threads", "N", set_threads, "default: all cores"},
};

static const option export_options[] = {
    {"-o", "FILE.c", set_output, "where to write it"},
    {"--name", "NAME", set_name, "of its functions; default: net"},
    {"--header", "FILE.h", set_header_file, "write their declarations as well"},
    {"--test", NULL, set_with_test, "with a main that checks itself: cc -DNAME_TEST FILE.c -lm"},
};

#define OPTIONS(list) list, (int)(sizeof(list) / sizeof(list[0]))

/* ---------------------------------------------------------------- commands */

static const char common_text[] =
    "DATA.csv has a header line, numbers, and a target: labels or numbers.\n"
    "IDX-FOLDER holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the\n"
    "t10k pair, plain or .gz; the t10k pair is the test set.\n";

void print_help(void)
{
    printf("Trains and uses nets.\n\n"
           "    tapegrad train DATA.csv|IDX-FOLDER [options]   train a net, test it, save it\n"
           "    tapegrad predict MODEL DATA.csv                predictions as CSV\n"
           "    tapegrad evaluate MODEL DATA.csv [--json]      loss and scores\n"
           "    tapegrad check MODEL DATA.csv                  derivatives and differences\n"
           "    tapegrad export MODEL -o FILE.c                the net as a C file\n"
           "    tapegrad graph MODEL                           a training step for Graphviz\n"
           "    tapegrad bench [OP] [--size N] [--json]        how long an op takes here\n"
           "    tapegrad ops                                   every op with its formula\n"
           "    tapegrad optimizers                            what --optimizer can be\n"
           "    tapegrad schedules                             what --schedule can be\n"
           "    tapegrad --version\n\n"
           "%s\n`tapegrad COMMAND --help` says more. Exit status: 0 done, 1 it failed, 2 the\n"
           "command line is wrong.\n",
           common_text);
}

/* Words from `column` on to column 80, further lines indented. */
static void print_wrapped(const char *text, int column, int indent)
{
    const int first = column;
    while (*text) {
        const int n = (int)strcspn(text, " ");
        if (column + n > 80) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > first) {
            putchar(' ');
        }
        printf("%.*s", n, text);
        column += n + 1;
        text += n + (text[n] == ' ');
    }
    putchar('\n');
}

static void print_usage(const char *usage, const char *about, const option *options, int n)
{
    printf("usage: tapegrad %s\n\n%s", usage, about);
    if (n) printf("\n");
    for (int k = 0; k < n; k++) {
        const option *o = &options[k];
        enum { INDENT = 25 };
        if (!o->name) {
            if (k) putchar('\n');
            print_wrapped(o->help, 0, 4);
            continue;
        }
        int length = printf("  %s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        if (length >= INDENT) putchar('\n'), length = 0;
        printf("%*s", INDENT - length, "");
        print_wrapped(o->help, INDENT, INDENT);
    }
}

/* The option that a word names, whether it stands alone or as --name=value. */
static const option *find(const option *options, int n, const char *word, const char **value)
{
    const char *equals = strchr(word, '=');
    const size_t length = equals ? (size_t)(equals - word) : strlen(word);
    *value = equals ? equals + 1 : NULL;
    for (int k = 0; k < n; k++)
        if (options[k].name && strlen(options[k].name) == length &&
            !memcmp(options[k].name, word, length))
            return &options[k];
    return NULL;
}

static int parse(const char *usage, const char *about, const option *options, int n_options, int n,
                 char **word, const char **place[2], request *r, bool *helped)
{
    int placed = 0;
    const int places = !place[0] ? 0 : !place[1] ? 1 : 2;
    bool only_places = false;
    for (int k = 0; k < n; k++) {
        const char *w = word[k], *value = NULL;
        if (!only_places && (!strcmp(w, "--help") || !strcmp(w, "-h"))) {
            print_usage(usage, about, options, n_options);
            return *helped = true, DONE;
        }
        if (!only_places && !strcmp(w, "--")) {
            only_places = true;
        } else if (only_places || w[0] != '-' || !w[1]) {
            if (placed == places)
                return complain(USAGE, "'%s' is one word too many\nusage: tapegrad %s", w, usage);
            *place[placed++] = w;
        } else {
            const option *o = find(options, n_options, w, &value);
            if (!o) return complain(USAGE, "unknown option '%s'\nusage: tapegrad %s", w, usage);
            if (!o->value && value) return complain(USAGE, "%s takes no value", o->name);
            if (o->value && !value) {
                if (k + 1 == n || find(options, n_options, word[k + 1], &value))
                    return complain(USAGE, "%s needs a value: %s", o->name, o->value);
                value = word[++k];
            }
            if (!o->set(o->name, value, r)) return USAGE;
        }
    }
    if (placed < places) return complain(USAGE, "something is missing\nusage: tapegrad %s", usage);
    return DONE;
}

/* Options that want others, or none. */
static int check_training(const request *r)
{
    if (r->layers && r->mlp)
        return complain(USAGE, "--hidden, --activation and --dropout are the multilayer net's: in "
                               "--model they are layers (linear 64, relu, dropout 0.1)");
    if (!r->checkpoint && (r->resume || r->every_steps || r->every_seconds > 0))
        return complain(USAGE, "--resume and --every want a --checkpoint");
    if (r->cross_validate && (r->checkpoint || r->patience || r->best || r->watch))
        return complain(USAGE, "--cross-validate tests on the rows that it holds out: no "
                               "--checkpoint, --patience, --best or --watch");
    return check_measures(r);
}

int parse_train(int n, char **word, request *r, bool *helped)
{
    const char **place[2] = {&r->data, NULL};
    const int status = parse("train DATA.csv|IDX-FOLDER [options]", common_text,
                             OPTIONS(train_options), n, word, place, r, helped);
    if (status != DONE || *helped) return status;
    if ((r->test != NULL) + (r->split != NULL) + (r->validation >= 0) > 1)
        return complain(USAGE, "only one of --test, --split and --validation can be used");
    if (r->cross_validate && (r->test || r->split || r->validation >= 0 || r->save || r->history ||
                              r->report || r->profile))
        return complain(USAGE,
                        "--cross-validate holds rows out itself and keeps no net: no --test, "
                        "--split, --validation, --save, --history, --report or --profile");
    if (r->csv.header && r->csv.no_header)
        return complain(USAGE, "--header and --no-header are opposites");
    int wrong = check_training(r);
    if (wrong == DONE) wrong = check_optimizer(r);
    return wrong == DONE ? check_schedule(r) : wrong;
}

int parse_predict(int n, char **word, request *r, bool *helped)
{
    const char **place[2] = {&r->model, &r->data};
    r->csv.no_target = true;
    return parse("predict MODEL DATA.csv|IDX-FOLDER [options]",
                 "Prints a CSV file: for classes the predicted label and the probability of\n"
                 "each, for a regression the number. Columns are found by name; those that the\n"
                 "model doesn't know are skipped.\n",
                 OPTIONS(predict_options), n, word, place, r, helped);
}

int parse_evaluate(int n, char **word, request *r, bool *helped)
{
    const char **place[2] = {&r->model, &r->data};
    const int status = parse("evaluate MODEL DATA.csv|IDX-FOLDER [--json]",
                             "Prints loss and scores of a model on data with targets.\n",
                             OPTIONS(evaluate_options), n, word, place, r, helped);
    return status == DONE ? check_measures(r) : status;
}

int parse_check(int n, char **word, request *r, bool *helped)
{
    const char **place[2] = {&r->model, &r->data};
    return parse("check MODEL DATA.csv|IDX-FOLDER [--json]",
                 "Compares the derivatives of the model's loss, of first and second order, with\n"
                 "differences, on four rows of the data in double precision.\n",
                 OPTIONS(check_options), n, word, place, r, helped);
}

int parse_export(int n, char **word, request *r, bool *helped)
{
    const char **place[2] = {&r->model, NULL};
    const int status =
        parse("export MODEL -o FILE.c [options]",
              "Writes the net as one C99 file that needs nothing but a compiler and libm:\n"
              "NAME_predict takes a row of raw features and gives probabilities or a number,\n"
              "NAME_label and NAME_inputs name them.\n",
              OPTIONS(export_options), n, word, place, r, helped);
    if (status != DONE || *helped || r->output) return status;
    return complain(USAGE, "export: -o FILE.c is missing");
}

int parse_graph(int n, char **word, request *r, bool *helped)
{
    const char **place[2] = {&r->model, NULL};
    return parse("graph MODEL",
                 "Prints the training step, forward and backward, as Graphviz text:\n"
                 "tapegrad graph MODEL | dot -Tsvg > step.svg\n",
                 NULL, 0, n, word, place, r, helped);
}

int parse_bench(int n, char **word, request *r, bool *helped)
{
    const char **place[2] = {NULL, NULL};
    r->threads = 1;
    if (n > 0 && word[0][0] != '-') place[0] = &r->op;
    return parse("bench [OP] [options]",
                 "Prints how long an op, or each, takes on this machine: forward alone, and with\n"
                 "the gradients of its operands; bytes moved a second, as each operand read once\n"
                 "and each result written once; and, of a single op, the share of what the\n"
                 "machine can do. The name comes first.\n",
                 OPTIONS(bench_options), n, word, place, r, helped);
}

static int parse_list(const char *name, const char *about, int n, char **word, request *r,
                      bool *helped)
{
    const char **place[2] = {NULL, NULL};
    return parse(name, about, NULL, 0, n, word, place, r, helped);
}

int parse_ops(int n, char **word, request *r, bool *helped)
{
    const char **place[2] = {n == 1 && word[0][0] != '-' ? &r->op : NULL, NULL};
    return parse("ops [NAME]",
                 "Prints every op: its formula, its shapes, how often it can be\n"
                 "differentiated; or one, with an example.\n",
                 NULL, 0, n, word, place, r, helped);
}

int parse_optimizers(int n, char **word, request *r, bool *helped)
{
    return parse_list("optimizers",
                      "Prints every optimizer with its settings and their defaults, as\n"
                      "`tapegrad train --optimizer 'NAME setting=value ...'` takes them.\n",
                      n, word, r, helped);
}

int parse_schedules(int n, char **word, request *r, bool *helped)
{
    return parse_list("schedules",
                      "Prints every schedule with its settings and their defaults, as\n"
                      "`tapegrad train --schedule 'NAME setting=value ...'` takes them.\n",
                      n, word, r, helped);
}
