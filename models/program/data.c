/* Reading data for the commands. */
#include "main.h"

void read_data(const request *r, tg_dataset *d, const char *path, const char *part,
               const tg_schema *schema)
{
    tg_csv_options o = r->csv;
    o.size = sizeof o;
    o.skip = r->skip;
    o.categorical = r->categorical;
    o.schema = schema;
    if (is_folder(path)) tg_dataset_read_idx(d, path, part, schema);
    else tg_dataset_read_csv(d, path, &o);
}

int64_t features_of(const tg_model *m)
{
    int64_t n = 0;
    while (tg_model_feature_name(m, n)) n++;
    return n;
}
