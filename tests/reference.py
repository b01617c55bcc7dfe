#!/usr/bin/env python3
"""Makes reference.txt.gz, what PyTorch says to the rows of reference_rows.h: values, first and
second derivatives in f64. Wants Debian's python3-torch, which nothing else here does:
    /usr/bin/python3 tests/reference.py
A case is its operands (letter, kind, shape, numbers), the value (y), and for each operand that is
differentiated the derivative of <G, y> (g) and of <H, g>, summed over the g (h); weight() has G and
H. What PyTorch can't differentiate twice has no h."""
import gzip
import math
import os
import random
import re

import torch
import torch.nn.functional as F
from torch.autograd.functional import hessian as hessian_of, jacobian as jacobian_of

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


# ---------------------------------------------------------------- what PyTorch 1.13 has no name for


def jacobian(f, x):
    return jacobian_of(f, x, create_graph=True)


def hessian(f, x):
    return hessian_of(f, x, create_graph=True)


class digamma(torch.autograd.Function):
    """With a derivative by zeta: that of torch.digamma is off by 1e-9."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.digamma(x)

    @staticmethod
    def backward(ctx, gy):
        return gy * polygamma(1, *ctx.saved_tensors)


class lgamma(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.lgamma(x)

    @staticmethod
    def backward(ctx, gy):
        return gy * digamma.apply(*ctx.saved_tensors)


def polygamma(n, x):
    return (-1) ** (n + 1) * math.factorial(n) * torch.special.zeta(n + 1.0, x)


def recurrence(a, b):
    y = [b[0]]
    for i in range(1, len(b)):
        y.append(a[i] * y[-1] + b[i])
    return torch.stack(y)


def attention(q, k, v, causal=False, mask=None, bias=None, scale=None):
    scores = q @ k.mT * (scale or q.shape[-1] ** -0.5)
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -float("inf"))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -float("inf"))
    return torch.softmax(scores if bias is None else scores + bias, -1) @ v


def rotary(x, base=100):
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    return torch.cat(
        (first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()), -1
    )


def focal(z, target, alpha, gamma):
    target = target.double()
    p = torch.sigmoid(z)
    kept = p * target + (1 - p) * (1 - target)
    own = alpha * target + (1 - alpha) * (1 - target)
    return (
        own * (1 - kept) ** gamma * F.binary_cross_entropy_with_logits(z, target, reduction="none")
    ).mean()


def by_lengths(run, x, h, lengths):
    """A net over the first times of each row, then zeros."""
    rows = [run(x[:n, r : r + 1], h[:, r : r + 1]) for r, n in enumerate(lengths)]
    return torch.cat([F.pad(y, (0, 0, 0, 0, 0, len(x) - len(y))) for y in rows], 1)


# ---------------------------------------------------------------- the rows


def rows():
    """(expression, sets of operands) of each row."""
    text = open(os.path.join(HERE, "reference_rows.h")).read().replace("\\\n", " ")
    piece = r'(?:"(?:[^"\\]|\\.)*"|[A-Z_0-9]+)'
    named = {}

    def joined(pieces):
        return "".join(p[1:-1] if p[0] == '"' else named[p] for p in re.findall(piece, pieces))

    for name, pieces in re.findall(r'^#define (\w+)((?:\s*%s)+)\s*$' % piece, text, re.M):
        named[name] = joined(pieces)
    for expression, operands in re.findall(
        r'ROW\(\s*((?:%s\s*)+),\s*((?:%s\s*)+),' % (piece, piece), text
    ):
        yield joined(expression), [s.split() for s in joined(operands).split(";") if s.strip()]


def drawn(rng, spec):
    """(kind, tensor) of an operand: d is differentiated, c is not, i are integers, m a mask."""
    kind = "c" if spec[0] == "=" else "d"
    spec = spec.lstrip("=")
    if spec[0] == "{":
        return kind, torch.tensor([float(v) for v in spec[1:-1].split(",")])
    kinds, bounds, sizes = re.fullmatch(r"([ims]?)([^\[]*)\[(.*)\]", spec).groups()
    shape = [int(s) for s in sizes.split(",")] if sizes else []
    count = int(torch.tensor(shape).prod()) if shape else 1
    low, high = (float(b) for b in bounds.split(":")) if bounds else (-2, 2)
    if kinds == "i":
        return "i", torch.tensor([rng.randint(int(low), int(high)) for _ in range(count)]).reshape(
            shape
        )
    if kinds == "m":
        return "m", torch.tensor([rng.random() < 0.6 for _ in range(count)]).reshape(shape)
    if kinds == "s":
        return kind, torch.tensor([rng.choice((-1.0, 1.0)) for _ in range(count)]).reshape(shape)
    values = []
    while len(values) < count:  # no two alike: ties have rows of their own
        value = float("%.3g" % rng.uniform(low, high))
        if value not in values and value != 0:
            values.append(value)
    return kind, torch.tensor(values, dtype=torch.float64).reshape(shape)


def weight(of, kind):
    i = torch.arange(of.numel(), dtype=torch.float64).reshape(of.shape)
    return ((7 * i + 3) % 11 - 5) / 4 + 0.125 if kind == "G" else ((5 * i + 2) % 7 - 3) / 2 + 0.25


def derivatives(y, x, seed):
    if not y.requires_grad:
        return [torch.zeros_like(v) for v in x]
    grads = torch.autograd.grad(y, x, seed, create_graph=True, allow_unused=True)
    return [torch.zeros_like(v) if g is None else g for v, g in zip(x, grads)]


def line(name, x, shape=True):
    sizes = [",".join(str(s) for s in x.shape) or "-"] if shape else []
    return " ".join(
        [name]
        + sizes
        + ["%.12g" % v for v in torch.empty(x.numel()).copy_(x.detach().flatten()).tolist()]
    )


def main():
    out, cases = [], 0
    for expression, sets in rows():
        out.append("= " + expression)
        for number, specs in enumerate(sets):
            rng = random.Random(expression + str(number))
            operands = [drawn(rng, s) for s in specs]
            cases += 1
            for kind, x in operands:
                out.append(line(kind, x))
            x = [v.requires_grad_() for k, v in operands if k == "d"]
            try:
                y = eval(
                    expression, dict(globals(), **dict(zip("abcdef", (v for _, v in operands))))
                )
            except Exception as e:
                raise SystemExit("%s of %s: %s" % (expression, specs, e))
            out.append(line("y", y))
            if not y.is_floating_point() or not x:
                continue
            try:
                g = derivatives(y, x, weight(y, "G"))
            except (RuntimeError, NotImplementedError) as e:
                raise SystemExit("%s of %s: %s" % (expression, specs, e))
            out.extend(line("g", v, False) for v in g)
            if any("{" in s for s in specs):
                continue
            try:
                total = sum((weight(v, "H") * v).sum() for v in g)
                out.extend([line("h", v, False) for v in derivatives(total, x, None)])
            except RuntimeError as e:
                print("once only:", expression, str(e).split("\n")[0])
    with gzip.GzipFile(os.path.join(HERE, "reference.txt.gz"), "wb", 9, mtime=0) as f:
        f.write(("\n".join(out) + "\n").encode())
    print(cases, "cases")


main()
