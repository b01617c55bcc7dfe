/* The drawing of a tape. */
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>
#include <unistd.h>

static char *folder(void)
{
    static char name[64];
    strcpy(name, "/tmp/tapegrad-dot-XXXXXX");
    cr_assert_not_null(mkdtemp(name));
    cr_assert_eq(chdir(name), 0);
    return name;
}

static char *read_all(const char *path)
{
    static char text[100000];
    FILE *in = fopen(path, "r");
    cr_assert_not_null(in, "%s", path);
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    fclose(in);
    return text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++) n++;
    return n;
}

Test(dot, draws_nodes_parameters_and_the_backward_pass)
{
    char *place = folder();
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w =
        tg_param_new(ps, "say \"w\\1\"", TG_F32, TG_SHAPE(3, 2), ((tg_init){.kind = TG_ONES}));
    tg_tape *t = tg_tape_new(NULL);
    const float data[2] = {1, 2};
    const int line = __LINE__ + 1;
    tg_tensor *y = tg_matmul(t, w, tg_input(t, TG_F32, TG_SHAPE(2), data));
    tg_tensor *loss = tg_sum(t, tg_exp(t, y), TG_ALL_AXES, false);

    cr_assert_eq(tg_write_dot(t, "forward.dot", NULL), TG_OK, "%s", tg_tape_message(t));
    const char *text = read_all("forward.dot");
    char position[64];
    snprintf(position, sizeof position, "test_dot.c:%d: ", line);
    cr_expect_eq(strncmp(text, "digraph", 7), 0);
    cr_expect(strstr(text, "\"say \\\"w\\\\1\\\"\\nf32 [3,2]\""), "a quoted name: %s", text);
    cr_expect(strstr(text, position), "%s", text);
    cr_expect(strstr(text, "matmul") && strstr(text, "exp") && strstr(text, "input"), "%s", text);
    cr_expect_eq(count(text, "dashed"), 0);
    const int nodes = count(text, "[label=");

    cr_assert_eq(tg_write_dot(t, "both.dot", loss), TG_OK, "%s", tg_tape_message(t));
    text = read_all("both.dot");
    cr_expect_eq(count(text, "dashed"), 1, "one parameter gets a gradient");
    cr_expect_eq(count(text, "peripheries"), 1);
    cr_expect_gt(count(text, "[label="), nodes, "the backward pass is drawn");
    cr_expect_eq(count(text, "{"), count(text, "}"));

    /* drawing leaves the recording as it was */
    cr_assert_eq(tg_write_dot(t, "again.dot", NULL), TG_OK);
    cr_expect_eq(count(read_all("again.dot"), "[label="), nodes);
    tg_backward(t, loss);
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    cr_expect_not_null(tg_param_grad(w));
    tg_tape_reset(t);
    tg_backward(t, tg_sum(t, tg_exp(t, w), TG_ALL_AXES, false));
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));

    /* nothing but the three files is left */
    cr_expect_eq(unlink("forward.dot") + unlink("both.dot") + unlink("again.dot"), 0);
    cr_expect_eq(chdir("/") + rmdir(place), 0, "a temporary file was left behind");
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(dot, is_accepted_by_graphviz)
{
    if (system("dot -V >/dev/null 2>&1") != 0) return;
    char *place = folder();
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_constant(t, TG_F64, 0.5), *parts[5] = {x, x, x, x, x};
    tg_softmax(t, tg_stack(t, 5, parts, 0), 0);
    cr_assert_eq(tg_write_dot(t, "x.dot", NULL), TG_OK, "%s", tg_tape_message(t));
    cr_expect_eq(system("dot -Tsvg x.dot >/dev/null"), 0);
    cr_expect_eq(unlink("x.dot") + chdir("/") + rmdir(place), 0);
    tg_tape_free(t);
}
