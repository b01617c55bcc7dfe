/* Names of parameters: scopes within scopes. */
#define TG_HERE NULL
#include <stdio.h>
#include <string.h>

#include "../../graph/params.h"
#include <tapegrad/layers.h>

tg_scope tg_scope_root(tg_params *ps) { return (tg_scope){.params = ps, .dtype = TG_F32}; }

/* A name that a scope can't carry: the set says so when something is made under it. */
static void refuse(tg_scope *s, tg_status status, const char *what)
{
    if (s->params) tg_error_set(&s->params->error, NULL, "scope", status, "%s", what);
}

static void append(tg_scope *s, const char *text)
{
    const size_t length = strlen(s->prefix), more = strlen(text);
    if (length + more < sizeof s->prefix) memcpy(s->prefix + length, text, more + 1);
    else refuse(s, TG_EVALUE, "a parameter's name has 255 bytes at most");
}

tg_scope tg_scope_in(tg_scope s, const char *name)
{
    if (!name) {
        refuse(&s, TG_ENULL, "the name is NULL");
        return s;
    }
    if (*s.prefix) append(&s, ".");
    append(&s, name);
    return s;
}

tg_scope tg_scope_at(tg_scope s, const char *name, int64_t number)
{
    char digits[24];
    s = tg_scope_in(s, name);
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    append(&s, digits);
    return s;
}

tg_tensor *tg_scope_param(tg_scope s, const char *name, tg_shape shape, tg_init init)
{
    const tg_scope full = tg_scope_in(s, name);
    return tg_param_new_at(s.params, NULL, name ? full.prefix : NULL, s.dtype, shape, init);
}

tg_tensor *tg_scope_buffer(tg_scope s, const char *name, tg_shape shape, tg_init init)
{
    tg_tensor *p = tg_scope_param(s, name, shape, init);
    if (p) tg_param_set_trainable(p, false);
    return p;
}
