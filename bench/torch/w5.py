"""W5: a chain of 1000 operations on tensors of one element, ns an operation."""
from common import *

OPS = 1000


def one(value):
    return torch.full((1,), value, requires_grad=True)


x, a, b = one(0.5), one(1.0001), one(0.001)


def chain(start, factor, term):
    y = start
    for _ in range(OPS // 2):
        y = y * factor + term
    return y


def both(y):
    for p in (x, a, b):
        p.grad = None
    y.backward()


show("w5.forward", "ns", lambda: chain(x, a, b), "python", OPS)
show("w5.both", "ns", lambda: both(chain(x, a, b)), "python", OPS)
compiled = torch.jit.trace(chain, (x, a, b), check_trace=False)
show("w5.forward", "ns", lambda: compiled(x, a, b), "traced", OPS)
show("w5.both", "ns", lambda: both(compiled(x, a, b)), "traced", OPS)
write()
