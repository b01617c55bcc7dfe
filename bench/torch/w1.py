"""W1: the seed net 3-4-1 with sigmoids, binary cross-entropy, SGD .1."""
from common import *

for rows in (100, 4):
    x = torch.rand(rows, 3) * 2 - 1
    y = (x.sum(1, keepdim=True) > 0).float()
    name = "w1.n%d" % rows

    def way(text, net, loss, **options):
        sgd = torch.optim.SGD(net.parameters(), lr=0.1, **options)

        def step():
            sgd.zero_grad(set_to_none=True)
            loss(net(x), y).backward()
            sgd.step()

        show(name, "us", step, text)

    def layers(*last):
        return torch.nn.Sequential(
            torch.nn.Linear(3, 4), torch.nn.Sigmoid(), torch.nn.Linear(4, 1), *last
        )

    way(
        "modules and optimizer",
        layers(torch.nn.Sigmoid()),
        torch.nn.functional.binary_cross_entropy,
    )
    way(
        "modules and optimizer, foreach",
        layers(torch.nn.Sigmoid()),
        torch.nn.functional.binary_cross_entropy,
        foreach=True,
    )
    way("loss on logits", layers(), torch.nn.functional.binary_cross_entropy_with_logits)
    way(
        "traced",
        torch.jit.trace(layers(torch.nn.Sigmoid()), x),
        torch.nn.functional.binary_cross_entropy,
    )

    weights = [p.detach().clone().requires_grad_() for p in layers().parameters()]

    def bare():
        w1, b1, w2, b2 = weights
        h = torch.addmm(b1, x, w1.t()).sigmoid()
        loss = torch.nn.functional.binary_cross_entropy(torch.addmm(b2, h, w2.t()).sigmoid(), y)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            torch._foreach_add_(weights, gradients, alpha=-0.1)

    show(name, "us", bare, "functions, foreach update")
write()
