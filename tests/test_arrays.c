/* NumPy's files. */
#define _XOPEN_SOURCE 700
#include "folder.h"

#include <zlib.h>

#include <tapegrad/models.h>

#include "allocator.h"

/* An NPY file: version, dictionary, data. Returns its size. */
static size_t npy(unsigned char *to, int version, const char *dictionary, const void *data,
                  size_t bytes)
{
    const size_t n = strlen(dictionary), start = version == 1 ? 10 : 12;
    memcpy(to, "\x93NUMPY", 6);
    to[6] = (unsigned char)version, to[7] = 0;
    to[8] = (unsigned char)n, to[9] = (unsigned char)(n >> 8), to[10] = to[11] = 0;
    memcpy(to + start, dictionary, n);
    memcpy(to + start + n, data, bytes);
    return start + n + bytes;
}

static tg_arrays *read_bytes(const unsigned char *bytes, size_t n)
{
    folder f = folder_new();
    tg_arrays *s = tg_arrays_new(NULL);
    tg_arrays_read(s, folder_write(&f, "x.npy", bytes, n));
    folder_free(&f);
    return s;
}

#define DICTIONARY(descr, fortran, shape) \
    "{'descr': '" descr "', 'fortran_order': " fortran ", 'shape': " shape ", }\n"

static double element(const tg_arrays *s, int64_t at)
{
    const void *data = tg_arrays_data(s, 0);
    const tg_dtype dtype = tg_arrays_dtype(s, 0);
    return dtype == TG_F32   ? (double)((const float *)data)[at]
           : dtype == TG_F64 ? ((const double *)data)[at]
           : dtype == TG_I64 ? (double)((const int64_t *)data)[at]
                             : ((const uint8_t *)data)[at];
}

Test(arrays, every_number_type_and_order_is_read)
{
    static const struct {
        int version;
        const char *dictionary, *data;
        size_t bytes;
        tg_dtype dtype;
        double first, last;
        int64_t count;
    } cases[] = {
        {1, DICTIONARY("<f4", "False", "(2,)"), "\0\0\x80\x3F\0\0\0\xC0", 8, TG_F32, 1, -2, 2},
        {2, DICTIONARY(">f4", "False", "(2,)"), "\x3F\x80\0\0\xC0\0\0\0", 8, TG_F32, 1, -2, 2},
        {3, DICTIONARY("<f8", "False", "()"), "\0\0\0\0\0\0\xF0\x3F", 8, TG_F64, 1, 1, 1},
        {1, DICTIONARY("<f2", "False", "(2, 1)"), "\0\x3C\0\xC0", 4, TG_F32, 1, -2, 2},
        {1, DICTIONARY("|b1", "False", "(3,)"), "\1\0\x02", 3, TG_U8, 1, 1, 3},
        {1, DICTIONARY("|u1", "False", "(2,)"), "\1\xFF", 2, TG_U8, 1, 255, 2},
        {1, DICTIONARY("|i1", "False", "(2,)"), "\1\xFF", 2, TG_I64, 1, -1, 2},
        {1, DICTIONARY("<i2", "False", "(2,)"), "\1\0\xFE\xFF", 4, TG_I64, 1, -2, 2},
        {1, DICTIONARY(">u2", "False", "(2,)"), "\0\1\xFF\xFE", 4, TG_I64, 1, 65534, 2},
        {1, DICTIONARY("<u4", "False", "(1,)"), "\xFF\xFF\xFF\xFF", 4, TG_I64, 4294967295.0,
         4294967295.0, 1},
        {1, DICTIONARY(">i4", "False", "(1,)"), "\xFF\xFF\xFF\xFE", 4, TG_I64, -2, -2, 1},
        {1, DICTIONARY(">i8", "False", "(1,)"), "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", 8, TG_I64, -2,
         -2, 1},
        {1, DICTIONARY("<u8", "False", "(1,)"), "\2\0\0\0\0\0\0\0", 8, TG_I64, 2, 2, 1},
        {1, "{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"|u1\"}", "\7", 1, TG_U8, 7, 7, 1},
        {1, DICTIONARY("<f4", "False", "(3, 0, 2)"), "", 0, TG_F32, 0, 0, 0},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        unsigned char file[300];
        tg_arrays *s = read_bytes(
            file, npy(file, cases[k].version, cases[k].dictionary, cases[k].data, cases[k].bytes));
        cr_assert_eq(tg_arrays_status(s), TG_OK, "%zu: %s", k, tg_arrays_message(s));
        cr_assert_eq(tg_arrays_dtype(s, 0), cases[k].dtype, "%zu", k);
        cr_assert_eq(tg_shape_count(tg_arrays_shape(s, 0)), cases[k].count, "%zu", k);
        if (cases[k].count)
            cr_expect_eq(element(s, 0), cases[k].first, "%zu: %g", k, element(s, 0));
        if (cases[k].count)
            cr_expect_eq(element(s, cases[k].count - 1), cases[k].last, "%zu: %g", k,
                         element(s, cases[k].count - 1));
        tg_arrays_free(s);
    }
}

Test(arrays, the_first_index_may_move_fastest)
{
    unsigned char file[300], data[24];
    for (int k = 0; k < 24; k++) data[k] = (unsigned char)k;
    tg_arrays *s = read_bytes(file, npy(file, 1, DICTIONARY("|u1", "True", "(2, 3, 4)"), data, 24));
    cr_assert_eq(tg_arrays_status(s), TG_OK, "%s", tg_arrays_message(s));
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 3; b++)
            for (int c = 0; c < 4; c++)
                cr_expect_eq(element(s, (a * 3 + b) * 4 + c), a + 2 * b + 6 * c);
    tg_arrays_free(s);
}

Test(arrays, what_is_no_array_of_numbers_is_refused)
{
    static const struct {
        const char *dictionary;
        size_t bytes;
        const char *message;
    } cases[] = {
        {DICTIONARY("|O", "False", "(1,)"), 8, "the type '|O' is none of NumPy's"},
        {DICTIONARY("<M8[s]", "False", "(1,)"), 8, "the type '<M8[s]' is none of NumPy's"},
        {DICTIONARY("<c16", "False", "(1,)"), 16, "the type '<c16' is none of NumPy's"},
        {DICTIONARY("<U4", "False", "(1,)"), 16, "the type '<U4' is none of NumPy's"},
        {DICTIONARY("<f16", "False", "(1,)"), 16, "the type '<f16' is none of NumPy's"},
        {DICTIONARY("|f4", "False", "(1,)"), 4, "the type '|f4' is none of NumPy's"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4,
         "an array of records"},
        {DICTIONARY("<f4", "False", "(2,)"), 4,
         "cut short: its data has 4 bytes, which are not [2] elements of 4"},
        {DICTIONARY("<f4", "False", "(2,)"), 9, "1 bytes behind the data"},
        {DICTIONARY("<f4", "False", "(4611686018427387904, 4)"), 4,
         "a shape of more elements than can be"},
        {DICTIONARY("<f4", "False", "(99999999999999999999,)"), 4,
         "its header is not the dictionary"},
        {DICTIONARY("<f4", "False", "(1,1,1,1,1,1,1,1,1)"), 4, "its header is not the dictionary"},
        {DICTIONARY("<f4", "Maybe", "(1,)"), 4, "its header is not the dictionary"},
        {DICTIONARY("<f4", "False", "(1)"), 4, "its header is not the dictionary"},
        {DICTIONARY("<f4", "False", "(-1,)"), 4, "its header is not the dictionary"},
        {"{'descr': '<f4', 'fortran_order': False}", 4, "its header is not the dictionary"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4,
         "its header is not the dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': ()}", 4,
         "its header is not the dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", 4,
         "its header is not the dictionary"},
        {DICTIONARY("<u8", "False", "(1,)"), 8, "element 0 is beyond the range of i64"},
    };
    const unsigned char data[16] = {0, 0, 0, 0, 0, 0, 0, 0x80};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        unsigned char file[300];
        tg_arrays *s = read_bytes(file, npy(file, 1, cases[k].dictionary, data, cases[k].bytes));
        cr_expect_eq(tg_arrays_status(s), TG_EFORMAT, "%zu", k);
        cr_expect_not_null(strstr(tg_arrays_message(s), cases[k].message), "%zu: %s", k,
                           tg_arrays_message(s));
        cr_expect_null(tg_arrays_data(s, 0));
        tg_arrays_free(s);
    }
    tg_arrays *s = read_bytes((const unsigned char *)"\x93NUMPY\4\0\0\0\0\0", 12);
    cr_expect_not_null(strstr(tg_arrays_message(s), "NPY version 4.0"));
    tg_arrays_free(s);
}

static tg_arrays *some(const tg_allocator *a)
{
    tg_arrays *s = tg_arrays_new(a);
    tg_arrays_add(s, "weights", TG_F32, TG_SHAPE(2, 3), (const float[]){1, 2, 3, 4, 5, 6});
    tg_arrays_add(s, "labels", TG_I64, TG_SHAPE(2), (const int64_t[]){-7, INT64_MAX});
    tg_arrays_add(s, "\xC3\xBC", TG_U8, TG_SCALAR, (const uint8_t[]){9});
    tg_arrays_add(s, "empty", TG_F64, TG_SHAPE(0, 4), NULL);
    return s;
}

static void same(const tg_arrays *a, int64_t k, const tg_arrays *b, int64_t j)
{
    const tg_shape x = tg_arrays_shape(a, k), y = tg_arrays_shape(b, j);
    cr_expect_eq(tg_arrays_dtype(a, k), tg_arrays_dtype(b, j));
    cr_expect_eq(x.ndim, y.ndim);
    cr_expect(!memcmp(x.dim, y.dim, sizeof x.dim));
    cr_expect(!memcmp(tg_arrays_data(a, k), tg_arrays_data(b, j),
                      (size_t)tg_shape_count(x) * tg_dtype_size(tg_arrays_dtype(a, k))));
}

Test(arrays, files_come_back_bit_by_bit)
{
    folder f = folder_new();
    tg_arrays *a = some(NULL);
    for (int64_t k = 0; k < 4; k++) {
        tg_arrays *b = tg_arrays_new(NULL);
        cr_assert_eq(tg_arrays_write_npy(a, folder_file(&f, "x.npy"), k), TG_OK, "%s",
                     tg_arrays_message(a));
        cr_assert_eq(tg_arrays_read(b, f.file), TG_OK, "%s", tg_arrays_message(b));
        same(a, k, b, 0);
        tg_arrays_free(b);
    }
    tg_arrays *b = tg_arrays_new(NULL);
    cr_assert_eq(tg_arrays_write_npz(a, folder_file(&f, "x.npz")), TG_OK, "%s",
                 tg_arrays_message(a));
    cr_assert_eq(tg_arrays_read(b, f.file), TG_OK, "%s", tg_arrays_message(b));
    cr_assert_eq(tg_arrays_count(b), 4);
    for (int64_t k = 0; k < 4; k++) {
        cr_expect_str_eq(tg_arrays_name(b, k), tg_arrays_name(a, k));
        cr_expect_eq(tg_arrays_find(b, tg_arrays_name(a, k)), k);
        same(a, k, b, k);
    }
    cr_expect_eq(tg_arrays_read(b, f.file), TG_EFORMAT); /* the names are there already */
    tg_arrays_free(a), tg_arrays_free(b);
    folder_free(&f);
}

static void put32(unsigned char *to, size_t x)
{
    for (int k = 0; k < 4; k++) to[k] = (unsigned char)(x >> 8 * k);
}

/* An archive with one deflated member. Returns its size. */
static size_t deflated(unsigned char *to, const char *name, const unsigned char *content,
                       size_t bytes)
{
    const size_t n = strlen(name);
    unsigned char common[26] = {20, 0, 0, 0, 8};
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)content,
                  .avail_in = (unsigned)bytes,
                  .next_out = to + 30 + n,
                  .avail_out = 1000};
    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t packed = z.total_out, directory = 30 + n + packed, end = directory + 46 + n;
    deflateEnd(&z);
    put32(common + 10, crc32(0, content, (unsigned)bytes));
    put32(common + 14, packed);
    put32(common + 18, bytes);
    common[22] = (unsigned char)n;
    put32(to, 0x04034B50);
    memcpy(to + 4, common, 26);
    memcpy(to + 30, name, n);
    memset(to + directory, 0, 46 + n + 22);
    put32(to + directory, 0x02014B50);
    memcpy(to + directory + 6, common, 26);
    memcpy(to + directory + 46, name, n);
    put32(to + end, 0x06054B50);
    to[end + 8] = to[end + 10] = 1;
    put32(to + end + 12, 46 + n);
    put32(to + end + 16, directory);
    return end + 22;
}

Test(arrays, deflated_archives_are_read_and_damaged_ones_refused)
{
    static const float data[] = {1, 2, 3};
    unsigned char content[300], file[2000], changed[2000];
    const size_t n = npy(content, 1, DICTIONARY("<f4", "False", "(3,)"), data, sizeof data),
                 bytes = deflated(file, "a.npy", content, n);
    tg_arrays *s = read_bytes(file, bytes);
    cr_assert_eq(tg_arrays_status(s), TG_OK, "%s", tg_arrays_message(s));
    cr_expect_eq(tg_arrays_find(s, "a"), 0);
    cr_expect_eq(element(s, 2), 3);
    tg_arrays_free(s);
    for (size_t k = 0; k < bytes; k++) {
        s = read_bytes(file, k);
        cr_expect_eq(tg_arrays_status(s), TG_EFORMAT, "cut to %zu bytes", k);
        tg_arrays_free(s);
    }
    memcpy(changed, file, bytes);
    changed[40] ^= 4; /* within the packed data */
    s = read_bytes(changed, bytes);
    cr_expect_eq(tg_arrays_status(s), TG_EFORMAT);
    tg_arrays_free(s);
    s = read_bytes(file, deflated(file, "a.txt", content, n));
    cr_expect_not_null(
        strstr(tg_arrays_message(s), "the archive holds 'a.txt', which is no array"));
    tg_arrays_free(s);
}

Test(arrays, every_failing_allocation_is_reported_and_nothing_leaks)
{
    folder f = folder_new();
    tg_arrays *a = some(NULL);
    cr_assert_eq(tg_arrays_write_npz(a, folder_file(&f, "x.npz")), TG_OK);
    bool done = false;
    for (long long at = 1; !done; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator allocator = test_allocator(&memory);
        tg_arrays *s = tg_arrays_new(&allocator);
        done = tg_arrays_read(s, f.file) == TG_OK && tg_arrays_write_npz(s, f.file) == TG_OK;
        if (!done)
            cr_assert_eq(tg_arrays_status(s), TG_ENOMEM, "%lld: %s", at, tg_arrays_message(s));
        tg_arrays_free(s);
        cr_assert_eq(memory.blocks, 0);
        cr_assert_eq(memory.wrong, 0);
        cr_assert_lt(at, 1000);
    }
    tg_arrays_free(a);
    folder_free(&f);
}
