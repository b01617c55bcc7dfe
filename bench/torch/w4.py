"""W4: the mean of tanh(a x + b) sigmoid(x), forward and backward."""
from common import *

for name, unit, n in (("w4.16m", "ms", 1 << 24), ("w4.64k", "us", 1 << 16)):
    x = torch.randn(4096 if QUICK else n).requires_grad_()

    def run(a, b, *others):
        for p in (x, *others):
            p.grad = None
        (torch.tanh(x * a + b) * torch.sigmoid(x)).mean().backward()

    show(name, unit, lambda: run(1.1, 0.2), "a and b numbers")
    a, b = (torch.full((1,), v, requires_grad=True) for v in (1.1, 0.2))
    show(name + ".learn_a_b", unit, lambda: run(a, b, a, b), "a and b learnt")
write()
