"""W8: optimizer steps over a few large and over many small parameters."""
from common import *

for count, size in ((20, 500000), (1000, 1000)):
    for name, rule, options in (
        ("sgd_momentum", torch.optim.SGD, {"momentum": 0.9}),
        ("adam", torch.optim.Adam, {}),
    ):
        for foreach in (False, True):
            parameters = [
                torch.randn(1000 if QUICK else size).requires_grad_() for _ in range(count)
            ]
            for p in parameters:
                p.grad = torch.randn_like(p)
            optimizer = rule(parameters, lr=1e-3, foreach=foreach, **options)
            optimizer.step()
            show(
                "w8.%s.%dx%s" % (name, count, "500k" if size == 500000 else size),
                "ms",
                optimizer.step,
                "foreach" if foreach else "one by one",
            )
write()
