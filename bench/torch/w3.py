"""W3: 784-1024-1024-10 with relu and dropout .5, cross-entropy, batches of 128, SGD .01."""
from common import *


def hidden(inputs):
    return torch.nn.Linear(inputs, 1024), torch.nn.ReLU(), torch.nn.Dropout(0.5)


net = torch.nn.Sequential(*hidden(784), *hidden(1024), torch.nn.Linear(1024, 10))
x, y = torch.rand(128, 784), torch.randint(0, 10, (128,))
sgd = torch.optim.SGD(net.parameters(), lr=0.01)


def step():
    sgd.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(net(x), y).backward()
    sgd.step()


show("w3.step", "ms", step)
if THREADS == 1:
    keep("w3.rss", "MB", (peak() / 1e6, peak() / 1e6), "")
write()
