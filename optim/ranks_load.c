/* Finds MPI when mpirun has started this process: the library that talks to it is loaded then, so
 * that a program without it needs none. */
#define _POSIX_C_SOURCE 200809L
#include "ranks_load.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef struct vendor {
    const char *name, *library, *package;
    const char *variable; /* that its mpirun sets */
} vendor;

static const vendor vendors[] = {
    {"openmpi", "libtapegrad-openmpi.so", "openmpi-bin libopenmpi-dev", "OMPI_COMM_WORLD_SIZE"},
    {"mpich", "libtapegrad-mpich.so", "mpich libmpich-dev", "PMI_SIZE"},
};
enum { VENDORS = sizeof vendors / sizeof vendors[0] };

typedef bool begin_fn(tg_transport *t, char *why, size_t room);

/* The vendor whose mpirun started this process; of PMIX_RANK alone nobody can tell. NULL: none. */
static const vendor *started_by(void)
{
    for (int k = 0; k < VENDORS; k++)
        if (getenv(vendors[k].variable)) return &vendors[k];
    return getenv("PMIX_RANK") ? &vendors[0] : NULL;
}

static bool load(tg_transport *t, tg_error *e, const char *file, const vendor *v)
{
    char why[256] = "";
    begin_fn *begin = NULL;
    /* What MPI loads itself looks for MPI's names. */
    void *const loaded = dlopen(file, RTLD_NOW | RTLD_GLOBAL);
    if (!loaded) {
        const char *const reason = dlerror();
        tg_error_set(e, NULL, "ranks", TG_ESTATE,
                     "started by mpirun, but there is no %s (%s); to have it, install %s before "
                     "tapegrad is built, name its file in TG_MPI, or set TG_MPI=none to run on one "
                     "rank",
                     file, reason ? reason : "", v ? v->package : "Open MPI or MPICH");
        return false;
    }
    void *const symbol = dlsym(loaded, "tg_mpi_begin");
    _Static_assert(sizeof symbol == sizeof begin, "POSIX has functions in pointers to void");
    memcpy(&begin, &symbol, sizeof begin);
    if (begin && begin(t, why, sizeof why)) return true;
    tg_error_set(e, NULL, "ranks", TG_ESTATE, "%s: %s", file,
                 begin ? why : "it is no library of tapegrad's");
    return false; /* never unloaded: MPI leaves exit handlers behind */
}

bool tg_ranks_load(tg_transport *t, tg_error *e)
{
    const char *const wanted = getenv("TG_MPI");
    const vendor *v = started_by();
    if (!v || (wanted && !strcmp(wanted, "none"))) return false;
    if (!wanted || !*wanted) return load(t, e, v->library, v);
    for (int k = 0; k < VENDORS; k++)
        if (!strcmp(wanted, vendors[k].name)) return load(t, e, vendors[k].library, &vendors[k]);
    return load(t, e, wanted, NULL);
}
