"""W7: cross-entropy and layer norm over long rows, forward and backward."""
from common import *

for rows, width in ((1024, 1024), (64, 50257)):
    x = torch.randn(rows, width).requires_grad_()
    y = torch.randint(0, width, (rows,))

    def step():
        x.grad = None
        torch.nn.functional.cross_entropy(x, y).backward()

    show("w7.cross_entropy.%dx%d" % (rows, width), "ms", step)
    show(
        "w7.cross_entropy_forward.%dx%d" % (rows, width),
        "ms",
        lambda: torch.nn.functional.cross_entropy(x, y),
    )

    w, b = torch.ones(width, requires_grad=True), torch.zeros(width, requires_grad=True)
    gy = torch.randn(rows, width)

    def normalize():
        return torch.nn.functional.layer_norm(x, (width,), w, b)

    def normalize_both():
        for p in (x, w, b):
            p.grad = None
        normalize().backward(gy)

    show("w7.layer_norm.%dx%d" % (rows, width), "ms", normalize_both)
    show("w7.layer_norm_forward.%dx%d" % (rows, width), "ms", normalize)
write()
