/* What the parts of the command-line program share. */
#ifndef MAIN_H
#define MAIN_H

#include <stdbool.h>
#include <stdint.h>

/* Messages are for people who typed a command: they name no lines of this program. */
#define TG_NO_MACROS
#include <tapegrad.h>

#include "program_allocator.h"

/* Exit statuses; a training that a signal has stopped: 128 and its number. */
enum { DONE = 0, FAILED = 1, USAGE = 2 };

enum {
    MOST_LAYERS = 100,
    MOST_COLUMNS = 200,
    MOST_GROUPS = 16,
    MOST_FOLDS = 1000,
    MOST_MEASURES = 40,
    OPTIMIZER_TEXT = 1024,
    COMMAND_TEXT = 4096
};

/* Everything that can be asked for on a command line. */
typedef struct request {
    const char *data, *model;
    const char *test, *split, *save, *history;
    const char *report, *profile;
    const char *command; /* all of it, as text */
    tg_csv_options csv;  /* how CSV files are read; its lists are these */
    const char *skip[MOST_COLUMNS], *categorical[MOST_COLUMNS];
    double validation;      /* negative: not given */
    int64_t cross_validate; /* folds; 0: no */
    tg_head loss;
    const char *layers; /* text; NULL: the multilayer net */
    bool mlp;           /* something was said of that */
    int n_hidden;
    int64_t hidden[MOST_LAYERS];
    const char *activation;
    double dropout;
    const char *optimizer, *schedule; /* schedule NULL: a constant learning rate */
    const char *group[MOST_GROUPS];
    int n_groups;
    double clip; /* 0: none */
    int64_t accumulate;
    double lr, momentum, weight_decay; /* negative: not given */
    int64_t batch, epochs;             /* 0: not given */
    uint64_t seed;
    int threads;    /* 0: all cores */
    int64_t leaves; /* 0: by the batch */
    const char *op; /* to be timed, or shown; NULL: all */
    int64_t size;   /* elements; 0: not given */
    bool no_standardize, json, quiet;
    const char *checkpoint, *watch;
    bool resume, best;
    int64_t every_steps; /* of checkpoints; neither of the two: each epoch */
    double every_seconds;
    int64_t patience, average_from;
    double better_by, average;
    const char *measure[MOST_MEASURES];
    int n_measures;
    const char *output, *name, *header; /* of export */
    bool with_test;
    tg_ranks *ranks; /* NULL: this process alone */
} request;

/* Writes "tapegrad: ..." to standard error. Returns status. */
int complain(int status, const char *format, ...) TG_PRINTF(2, 3);

/* With room for it, the first complaint from now on goes there, and none to standard error. */
void complain_to(char *text, size_t room);

/* Reads the words behind a command. DONE: go on; DONE with *helped: help was printed; USAGE: a
 * mistake was reported. */
int parse_train(int n, char **word, request *r, bool *helped);
int parse_predict(int n, char **word, request *r, bool *helped);
int parse_evaluate(int n, char **word, request *r, bool *helped);
int parse_check(int n, char **word, request *r, bool *helped);
int parse_export(int n, char **word, request *r, bool *helped);
int parse_graph(int n, char **word, request *r, bool *helped);
int parse_bench(int n, char **word, request *r, bool *helped);
int parse_ops(int n, char **word, request *r, bool *helped);
int parse_optimizers(int n, char **word, request *r, bool *helped);
int parse_schedules(int n, char **word, request *r, bool *helped);
void print_help(void);

/* data.c: reads a CSV file or a folder of images: `part` of it, for a model when a schema is
 * given. */
void read_data(const request *r, tg_dataset *d, const char *path, const char *part,
               const tg_schema *schema);

int64_t features_of(const tg_model *m);

/* The first line of a history: its metric, "accuracy" or "r2", and what was held out, "test" or
 * "validation". */
enum { HISTORY_HEADER = 128 };
void history_header(char line[HISTORY_HEADER], const char *metric, const char *held);

/* outputs.c: whether the files to be written can be, and may be. */
int check_outputs(const request *r);

/* measures.c: those of --measures, on lines that begin with `what`, or as a JSON member. */
int check_measures(const request *r);
int print_measures(const request *r, tg_model *m, const tg_dataset *d, const char *what);

/* lists.c: optimizers and schedules from text; the checks report a mistake on the command line. */
/* --optimizer with the settings that have options of their own. */
void optimizer_text(const request *r, char text[OPTIMIZER_TEXT], const char *more);
tg_optim *make_optimizer(const request *r, tg_params *ps);
tg_schedule *make_schedule(const request *r, int64_t total, int64_t epoch);
int check_optimizer(const request *r);
int check_schedule(const request *r);
int optimizers(const request *r);
int schedules(const request *r);

/* ops.c: of r->op alone, if there is one */
int ops(const request *r);

/* looks.c: what a training leaves to look at. begin_looks hands tg_fit what it wants to know. */
typedef struct looks {
    tg_report *report;
    tg_profile *profile;
} looks;
/* "4-64-32-3", or the layers */
void net_text(const request *r, const tg_model *m, char *text, size_t room);
void command_text(int n, char **word, char text[COMMAND_TEXT]);
void begin_looks(const request *r, tg_model *m, const char *held, tg_fit_options *o, looks *l);
int end_looks(const request *r, const tg_dataset *train, const tg_dataset *held, looks *l,
              int status);
/* Whether what is written there may be coloured: on a terminal, unless NO_COLOR or TERM say no. */
bool in_colour(int descriptor);
/* The curve of the loss, and the confusions on data. */
int show_results(tg_model *model, const tg_dataset *data, const char *held);

/* main.c: right ones in another colour */
void print_confusion(const tg_model *m, const int64_t *count, bool colour);

/* bench.c */
int bench(const request *r);

/* train.c: on one rank or several */
int train(const request *r);
int threads_of(const request *r);
bool is_folder(const char *path);
/* Prints a number as JSON or null. */
void print_number(double x);
void print_text(const char *text);

#endif
