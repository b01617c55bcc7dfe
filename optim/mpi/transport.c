/* tapegrad's ranks on MPI. Compiled once for each MPI there is, whose binary interfaces differ,
 * into a library that needs nothing of tapegrad's. */
#define OMPI_SKIP_MPICXX
#define MPICH_SKIP_MPICXX
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad/ranks.h>

TG_API bool tg_mpi_begin(tg_transport *t, char *why, size_t room);

/* A message's size is an int in MPI: longer ones go in pieces. */
enum { PIECE = 1 << 30, TAG = 7 };

static size_t piece(size_t left) { return left < PIECE ? left : PIECE; }

static bool exchange(void *user, int to, const void *out, size_t out_bytes, int from, void *in,
                     size_t in_bytes)
{
    const char *given = out;
    char *got = in;
    (void)user;
    while (out_bytes || in_bytes) {
        const size_t sent = piece(out_bytes), received = piece(in_bytes);
        if (MPI_Sendrecv(given, (int)sent, MPI_BYTE, sent && to >= 0 ? to : MPI_PROC_NULL, TAG, got,
                         (int)received, MPI_BYTE, received && from >= 0 ? from : MPI_PROC_NULL, TAG,
                         MPI_COMM_WORLD, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return false;
        given = given ? given + sent : given;
        got = got ? got + received : got;
        out_bytes -= sent;
        in_bytes -= received;
    }
    return true;
}

static void leave(void *user)
{
    (void)user;
    MPI_Finalize();
}

static void abandon(void *user, int exit_code)
{
    (void)user;
    MPI_Abort(MPI_COMM_WORLD, exit_code);
}

static int neighbours(void)
{
    MPI_Comm here;
    int n = 1;
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here) !=
        MPI_SUCCESS)
        return n;
    MPI_Comm_size(here, &n);
    MPI_Comm_free(&here);
    return n;
}

/* false: MPI can't be used, and why. A rank that is lost ends the job: MPI's own handler of errors
 * stays. */
bool tg_mpi_begin(tg_transport *t, char *why, size_t room)
{
    int begun = 0, rank = 0, ranks = 1, provided;
    MPI_Initialized(&begun);
    if (begun) {
        snprintf(why, room, "this process has joined MPI already");
        return false;
    }
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        snprintf(why, room, "MPI_Init_thread failed");
        return false;
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    *t = (tg_transport){.size = sizeof *t,
                        .name = "MPI",
                        .rank = rank,
                        .ranks = ranks,
                        .neighbours = neighbours(),
                        .exchange = exchange,
                        .leave = leave,
                        .abandon = abandon};
    return true;
}
