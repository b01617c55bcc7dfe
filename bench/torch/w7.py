"""W7: cross-entropy over long rows, forward and backward."""
from common import *

for rows, width in ((1024, 1024), (64, 50257)):
    x = torch.randn(rows, width).requires_grad_()
    y = torch.randint(0, width, (rows,))

    def step():
        x.grad = None
        torch.nn.functional.cross_entropy(x, y).backward()

    show("w7.cross_entropy.%dx%d" % (rows, width), "ms", step)
    show("w7.cross_entropy_forward.%dx%d" % (rows, width), "ms", lambda: torch.nn.functional.cross_entropy(x, y))
write()
