/* The optimizers with a step size for each element against their published formulas, a scalar at a
 * time. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include <tapegrad/optim.h>

enum { N = 37, STEPS = 50 };

/* One scalar parameter, and what an optimizer remembers of it. */
typedef struct scalar {
    double p, a, b, c;
} scalar;

static double number(int k)
{
    const double x = sin(12.9898 * k + 4.1414) * 43758.5453;
    return 2 * (x - floor(x)) - 1;
}

/* Takes STEPS steps, with a learning rate that is divided by 3 half way. */
#define FOLLOWS(name, options_type, reference, ...)                                           \
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++) {                                 \
        const options_type o = {.size = sizeof o, __VA_ARGS__};                               \
        tg_params *ps = tg_params_new(NULL);                                                  \
        tg_tensor *w = tg_param_new(ps, "w", dtype, TG_SHAPE(N), (tg_init){TG_NORMAL, 0, 1}); \
        tg_optim *y = name(ps, &o);                                                           \
        double rate = tg_optim_learning_rate(y);                                              \
        scalar s[N] = {{0}};                                                                  \
        cr_assert_eq(tg_optim_status(y), TG_OK, "%s", tg_optim_message(y));                   \
        for (int i = 0; i < N; i++) s[i].p = value(w, i);                                     \
        for (int k = 1; k <= STEPS; k++) {                                                    \
            if (k == STEPS / 2) tg_optim_set_learning_rate(y, rate /= 3);                     \
            hand_in(w, k);                                                                    \
            cr_assert_eq(tg_optim_step(y), TG_OK, "%s", tg_optim_message(y));                 \
            for (int i = 0; i < N; i++) {                                                     \
                reference(&s[i], &o, gradient(dtype, k, i), k, rate);                         \
                near(value(w, i), s[i].p, dtype == TG_F32 ? 2e-4 : 1e-10, #name, k, i);       \
            }                                                                                 \
        }                                                                                     \
        tg_optim_free(y);                                                                     \
        tg_params_free(ps);                                                                   \
    }

static double gradient(tg_dtype dtype, int step, int i)
{
    const double g = number(step * 7919 + i) * (i % 5 ? 1 : 1e-2);
    return i == 3 ? 0 : dtype == TG_F32 ? (double)(float)g : g;
}

static double value(const tg_tensor *w, int i)
{
    return tg_tensor_dtype(w) == TG_F32 ? (double)((const float *)tg_param_data(w))[i]
                                        : ((const double *)tg_param_data(w))[i];
}

static void hand_in(tg_tensor *w, int step)
{
    float f32[N];
    double f64[N];
    const tg_dtype dtype = tg_tensor_dtype(w);
    for (int i = 0; i < N; i++) f32[i] = (float)(f64[i] = gradient(dtype, step, i));
    cr_assert_eq(tg_param_add_grad(w, dtype == TG_F32 ? (const void *)f32 : f64), TG_OK);
}

static void near(double got, double want, double tolerance, const char *name, int step, int i)
{
    cr_assert(fabs(got - want) <= tolerance * fmax(1, fabs(want)),
              "%s: step %d, element %d is %.17g, not %.17g", name, step, i, got, want);
}

static double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
static double or_default(double x, double otherwise) { return x != 0 ? x : otherwise; }

static void rmsprop(scalar *s, const tg_rmsprop_options *o, double g, int k, double rate)
{
    const double alpha = or_default(o->alpha, 0.99);
    (void)k;
    g += o->weight_decay * s->p;
    s->a = alpha * s->a + (1 - alpha) * g * g;
    double average = s->a;
    if (o->centered) {
        s->b = alpha * s->b + (1 - alpha) * g;
        average -= s->b * s->b;
    }
    average = sqrt(average) + or_default(o->eps, 1e-8);
    if (o->momentum > 0) {
        s->c = o->momentum * s->c + g / average;
        s->p -= rate * s->c;
    } else s->p -= rate * g / average;
}

static void adagrad(scalar *s, const tg_adagrad_options *o, double g, int k, double rate)
{
    g += o->weight_decay * s->p;
    s->a += g * g + (k == 1 ? o->initial_sum : 0);
    s->p -= rate / (1 + (k - 1) * o->rate_decay) * g / (sqrt(s->a) + or_default(o->eps, 1e-10));
}

static void adadelta(scalar *s, const tg_adadelta_options *o, double g, int k, double rate)
{
    const double rho = or_default(o->rho, 0.9), eps = or_default(o->eps, 1e-6);
    (void)k;
    g += o->weight_decay * s->p;
    s->a = rho * s->a + (1 - rho) * g * g;
    const double delta = sqrt(s->b + eps) / sqrt(s->a + eps) * g;
    s->b = rho * s->b + (1 - rho) * delta * delta;
    s->p -= rate * delta;
}

static void adamax(scalar *s, const tg_adamax_options *o, double g, int k, double rate)
{
    const double beta1 = or_default(o->beta1, 0.9), beta2 = or_default(o->beta2, 0.999);
    g += o->weight_decay * s->p;
    s->a = beta1 * s->a + (1 - beta1) * g;
    s->b = fmax(beta2 * s->b, fabs(g) + or_default(o->eps, 1e-8));
    s->p -= rate / (1 - pow(beta1, k)) * s->a / s->b;
}

static void radam(scalar *s, const tg_radam_options *o, double g, int k, double rate)
{
    const double beta1 = or_default(o->beta1, 0.9), beta2 = or_default(o->beta2, 0.999);
    if (o->decoupled) s->p *= 1 - rate * o->weight_decay;
    else g += o->weight_decay * s->p;
    s->a = beta1 * s->a + (1 - beta1) * g;
    s->b = beta2 * s->b + (1 - beta2) * g * g;
    const double corrected = s->a / (1 - pow(beta1, k)), rho_inf = 2 / (1 - beta2) - 1,
                 rho = rho_inf - 2 * k * pow(beta2, k) / (1 - pow(beta2, k));
    if (rho > 5) {
        const double rect = sqrt((rho - 4) * (rho - 2) * rho_inf /
                                 ((rho_inf - 4) * (rho_inf - 2) * rho)),
                     adaptive = sqrt(1 - pow(beta2, k)) / (sqrt(s->b) + or_default(o->eps, 1e-8));
        s->p -= rate * corrected * adaptive * rect;
    } else s->p -= rate * corrected;
}

/* c is 1 less than the product of the momenta so far. */
static void nadam(scalar *s, const tg_nadam_options *o, double g, int k, double rate)
{
    const double beta1 = or_default(o->beta1, 0.9), beta2 = or_default(o->beta2, 0.999),
                 decay = or_default(o->momentum_decay, 4e-3);
    if (o->decoupled) s->p *= 1 - rate * o->weight_decay;
    else g += o->weight_decay * s->p;
    const double mu = beta1 * (1 - 0.5 * pow(0.96, k * decay)),
                 mu_next = beta1 * (1 - 0.5 * pow(0.96, (k + 1) * decay)),
                 product = (s->c + 1) * mu;
    s->c = product - 1;
    s->a = beta1 * s->a + (1 - beta1) * g;
    s->b = beta2 * s->b + (1 - beta2) * g * g;
    const double root = sqrt(s->b / (1 - pow(beta2, k))) + or_default(o->eps, 1e-8);
    s->p -= rate * (1 - mu) / (1 - product) * g / root;
    s->p -= rate * mu_next / (1 - product * mu_next) * s->a / root;
}

static void lion(scalar *s, const tg_lion_options *o, double g, int k, double rate)
{
    const double beta1 = or_default(o->beta1, 0.9), beta2 = or_default(o->beta2, 0.99);
    (void)k;
    s->p *= 1 - rate * o->weight_decay;
    s->p -= rate * sign(beta1 * s->a + (1 - beta1) * g);
    s->a = beta2 * s->a + (1 - beta2) * g;
}

static void rprop(scalar *s, const tg_rprop_options *o, double g, int k, double rate)
{
    if (k == 1) s->b = rate;
    const double agreed = sign(g * s->a), factor = agreed > 0   ? or_default(o->grow, 1.2)
                                                   : agreed < 0 ? or_default(o->shrink, 0.5)
                                                                : 1;
    s->b = fmin(fmax(s->b * factor, or_default(o->smallest, 1e-6)), or_default(o->largest, 50));
    if (agreed < 0) g = 0;
    s->p -= sign(g) * s->b;
    s->a = g;
}

Test(adaptive, each_is_what_its_publication_says)
{
    FOLLOWS(tg_rmsprop_new, tg_rmsprop_options, rmsprop, .eps = 1e-3);
    FOLLOWS(tg_rmsprop_new, tg_rmsprop_options, rmsprop, .eps = 1e-3, .alpha = 0.9, .momentum = 0.8,
            .weight_decay = 0.1);
    FOLLOWS(tg_rmsprop_new, tg_rmsprop_options, rmsprop, .eps = 1e-2, .centered = true);
    FOLLOWS(tg_rmsprop_new, tg_rmsprop_options, rmsprop, .eps = 1e-2, .centered = true,
            .momentum = 0.5, .learning_rate = 0.1);
    FOLLOWS(tg_adagrad_new, tg_adagrad_options, adagrad, .eps = 1e-3);
    FOLLOWS(tg_adagrad_new, tg_adagrad_options, adagrad, .eps = 1e-3, .rate_decay = 0.1,
            .weight_decay = 0.2, .learning_rate = 0.5);
    FOLLOWS(tg_adagrad_new, tg_adagrad_options, adagrad, .eps = 1e-3, .initial_sum = 0.1);
    FOLLOWS(tg_adadelta_new, tg_adadelta_options, adadelta, .rho = 0);
    FOLLOWS(tg_adadelta_new, tg_adadelta_options, adadelta, .rho = 0.7, .weight_decay = 0.1,
            .learning_rate = 0.5);
    FOLLOWS(tg_adamax_new, tg_adamax_options, adamax, .eps = 1e-3);
    FOLLOWS(tg_adamax_new, tg_adamax_options, adamax, .eps = 1e-3, .beta1 = 0.5, .beta2 = 0.7,
            .weight_decay = 0.1, .learning_rate = 0.1);
    FOLLOWS(tg_radam_new, tg_radam_options, radam, .eps = 1e-3);
    FOLLOWS(tg_radam_new, tg_radam_options, radam, .eps = 1e-3, .beta1 = 0.5, .beta2 = 0.8,
            .weight_decay = 0.1, .learning_rate = 0.1);
    FOLLOWS(tg_radam_new, tg_radam_options, radam, .eps = 1e-3, .beta2 = 0.8, .weight_decay = 0.1,
            .learning_rate = 0.1, .decoupled = true);
    FOLLOWS(tg_nadam_new, tg_nadam_options, nadam, .eps = 1e-3);
    FOLLOWS(tg_nadam_new, tg_nadam_options, nadam, .eps = 1e-3, .beta1 = 0.99, .beta2 = 0.7,
            .momentum_decay = 2, .weight_decay = 0.1);
    FOLLOWS(tg_nadam_new, tg_nadam_options, nadam, .eps = 1e-3, .weight_decay = 0.1,
            .learning_rate = 0.1, .decoupled = true);
    FOLLOWS(tg_lion_new, tg_lion_options, lion, .learning_rate = 0.01);
    FOLLOWS(tg_lion_new, tg_lion_options, lion, .learning_rate = 0.01, .beta1 = 0.5, .beta2 = 0.6,
            .weight_decay = 0.1);
    FOLLOWS(tg_rprop_new, tg_rprop_options, rprop, .grow = 0);
    FOLLOWS(tg_rprop_new, tg_rprop_options, rprop, .shrink = 0.3, .grow = 1.5, .smallest = 1e-3,
            .largest = 0.02, .learning_rate = 0.01);
}

#define REFUSED(name, options_type, what, ...)                         \
    do {                                                               \
        tg_params *ps = tg_params_new(NULL);                           \
        tg_optim *y = name(ps, &(options_type){__VA_ARGS__});          \
        cr_expect_eq(tg_optim_status(y), TG_EVALUE);                   \
        cr_expect(strstr(tg_optim_message(y), what) &&                 \
                      strstr(tg_optim_message(y), "test_adaptive.c:"), \
                  "'%s' instead of '%s'", tg_optim_message(y), what);  \
        tg_optim_free(y);                                              \
        tg_params_free(ps);                                            \
    } while (0)
#define SIZED(type) .size = sizeof(type)

Test(adaptive, options_out_of_range_are_refused)
{
    REFUSED(tg_rmsprop_new, tg_rmsprop_options, "alpha", SIZED(tg_rmsprop_options), .alpha = 1);
    REFUSED(tg_rmsprop_new, tg_rmsprop_options, "momentum", SIZED(tg_rmsprop_options),
            .momentum = -1);
    REFUSED(tg_rmsprop_new, tg_rmsprop_options, "eps", SIZED(tg_rmsprop_options), .eps = NAN);
    REFUSED(tg_adagrad_new, tg_adagrad_options, "decay", SIZED(tg_adagrad_options),
            .rate_decay = -1);
    REFUSED(tg_adadelta_new, tg_adadelta_options, "rho", SIZED(tg_adadelta_options), .rho = 2);
    REFUSED(tg_adamax_new, tg_adamax_options, "beta2", SIZED(tg_adamax_options), .beta2 = 1);
    REFUSED(tg_radam_new, tg_radam_options, "beta1", SIZED(tg_radam_options), .beta1 = -0.5);
    REFUSED(tg_nadam_new, tg_nadam_options, "momentum_decay", SIZED(tg_nadam_options),
            .momentum_decay = -1);
    REFUSED(tg_lion_new, tg_lion_options, "weight_decay", SIZED(tg_lion_options),
            .weight_decay = INFINITY);
    REFUSED(tg_rprop_new, tg_rprop_options, "shrink", SIZED(tg_rprop_options), .shrink = 1);
    REFUSED(tg_rprop_new, tg_rprop_options, "grow", SIZED(tg_rprop_options), .grow = 1);
    REFUSED(tg_rprop_new, tg_rprop_options, "range", SIZED(tg_rprop_options), .smallest = 60);
    REFUSED(tg_radam_new, tg_radam_options, "size", .beta1 = 0.5);
}

Test(adaptive, state_has_the_names_of_its_slots)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(N), (tg_init){TG_ONES, 0, 0});
    tg_optim *y = tg_rmsprop_new(ps, &(tg_rmsprop_options){.size = sizeof(tg_rmsprop_options),
                                                           .centered = true,
                                                           .momentum = 0.9});
    hand_in(w, 1);
    cr_assert_eq(tg_optim_step(y), TG_OK);
    const char *const names[] = {"square", "mean", "momentum"};
    int found = 0;
    for (int k = 0; k < tg_optim_state_count(y); k++) {
        tg_optim_state s;
        cr_assert(tg_optim_state_get(y, k, &s));
        for (int j = 0; j < 3; j++) found += !strcmp(s.slot, names[j]);
    }
    cr_expect_eq(found, 3);
    tg_optim_free(y);
    tg_params_free(ps);
}

/* Two steps of an optimizer from text move a parameter to these bits. */
static double after_two_steps(tg_params *ps, tg_optim *y)
{
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(N), (tg_init){TG_ONES, 0, 0});
    for (int k = 1; k <= 2; k++) {
        hand_in(w, k);
        cr_assert_eq(tg_optim_step(y), TG_OK, "%s", tg_optim_message(y));
    }
    const double result = value(w, 1);
    tg_optim_free(y);
    tg_params_free(ps);
    return result;
}

Test(adaptive, optimizers_are_read_from_text)
{
    tg_params *ps = tg_params_new(NULL), *same = tg_params_new(NULL);
    const double read =
        after_two_steps(ps, tg_optim_parse(ps, " adam  lr=0.01,beta1=0 amsgrad decoupled "
                                               "weight_decay=0.1"));
    const tg_adam_options o = {.size = sizeof o,
                               .learning_rate = 0.01,
                               .beta1 = 1e-300,
                               .amsgrad = true,
                               .decoupled = true,
                               .weight_decay = 0.1};
    cr_expect_eq(read, after_two_steps(same, tg_adam_new(same, &o)));
    int n = 0;
    const tg_optim_info *const *list = tg_optims_list(&n);
    for (int k = 0; k < n; k++) {
        ps = tg_params_new(NULL);
        tg_optim *y = tg_optim_parse(ps, list[k]->name);
        cr_expect_eq(tg_optim_status(y), TG_OK, "%s", tg_optim_message(y));
        cr_expect_eq(tg_optim_learning_rate(y), list[k]->settings[0].otherwise);
        tg_optim_free(y);
        tg_params_free(ps);
    }
    cr_expect_geq(n, 11);
    cr_expect_str_eq(tg_setting_range_text(TG_RANGE_BELOW_ONE), "in [0, 1)");
    cr_expect_str_eq(tg_setting_range_text((tg_setting_range)9), "?");
}

Test(adaptive, adamw_is_adam_with_a_decoupled_decay)
{
    tg_params *ps = tg_params_new(NULL), *same = tg_params_new(NULL);
    const tg_adam_options o = {.size = sizeof o, .decoupled = true, .weight_decay = 0.01};
    cr_expect_eq(after_two_steps(ps, tg_optim_parse(ps, "adamw")),
                 after_two_steps(same, tg_adam_new(same, &o)));
}

static void not_read(const char *text, const char *what)
{
    tg_params *ps = tg_params_new(NULL);
    tg_optim *y = tg_optim_parse(ps, text);
    cr_expect_eq(tg_optim_status(y), TG_EVALUE);
    cr_expect(strstr(tg_optim_message(y), what) && strstr(tg_optim_message(y), "test_adaptive.c:"),
              "'%s' instead of '%s'", tg_optim_message(y), what);
    tg_optim_free(y);
    tg_params_free(ps);
}

Test(adaptive, text_that_is_not_understood_is_refused)
{
    not_read(NULL, "'' is none of sgd, adam, adamw");
    not_read("adamx", "'adamx' is none of");
    not_read("ada", "'ada' is none of");
    not_read("adam beta=1", "adam: no setting 'beta'; there are lr, beta1");
    not_read("adam beta1=1", "beta1 must be a number that is in [0, 1)");
    not_read("adam beta1", "beta1 must be a number");
    not_read("adam beta1=", "beta1 must be a number");
    not_read("adam beta1=0.5x", "beta1 must be a number");
    not_read("adam lr=-1", "lr must be a number that is finite and >= 0");
    not_read("adam lr=nan", "lr must be a number");
    not_read("adam amsgrad=yes", "amsgrad must be a number that is on or off");
    not_read("adam =1", "'=' without a setting");
    not_read("sgd nesterov", "nesterov wants a momentum");
    not_read("rprop grow=0.5", "grow must be");
}
