/* Data sets that ship with the project. */
#ifndef TESTS_SAMPLES_H
#define TESTS_SAMPLES_H

#include <criterion/criterion.h>
#include <stdio.h>

#include <tapegrad/data.h>

/* NAME.csv, divided by NAME.split. */
static void read_sample(const char *name, tg_dataset **train, tg_dataset **test)
{
    char path[200];
    tg_dataset *d = tg_dataset_new(NULL);
    snprintf(path, sizeof path, "models/samples/%s.csv", name);
    tg_dataset_read_csv(d, path, NULL);
    snprintf(path, sizeof path, "models/samples/%s.split", name);
    tg_dataset_split_file(d, path, train, test);
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    tg_dataset_free(d);
}

#endif
