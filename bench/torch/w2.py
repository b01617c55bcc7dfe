"""W2: 784-128-64-10 with relu, cross-entropy, batches of 64, SGD .02 with momentum .9.

A step on one batch, and epochs of Fashion-MNIST."""
import gzip

from common import *

FOLDER = "/usr/share/datasets/fashion-mnist/"


def new_net():
    r = torch.nn.ReLU
    return torch.nn.Sequential(
        torch.nn.Linear(784, 128), r(), torch.nn.Linear(128, 64), r(), torch.nn.Linear(64, 10)
    )


def learner(net, **options):
    sgd = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, **options)

    def learn(x, y):
        sgd.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(x), y).backward()
        sgd.step()

    return learn


x, y = torch.rand(64, 784), torch.randint(0, 10, (64,))
for text, options in (("one by one", {}), ("foreach", {"foreach": True})):
    learn = learner(new_net(), **options)
    show("w2.step", "us", lambda: learn(x, y), text)


def read(file, skip, dtype, *shape):
    with gzip.open(FOLDER + file) as f:
        return (
            torch.frombuffer(bytearray(f.read()[skip:]), dtype=torch.uint8)
            .reshape(-1, *shape)
            .to(dtype)
        )


if THREADS == 1 and not QUICK and os.path.exists(FOLDER):
    images = read("train-images-idx3-ubyte.gz", 16, torch.float32, 784) / 255
    labels = read("train-labels-idx1-ubyte.gz", 8, torch.int64)
    learn = learner(new_net())
    seconds = []
    for _ in range(3):
        begin = clock()
        order = torch.randperm(len(labels))
        for first in range(0, len(labels), 64):
            rows = order[first : first + 64]
            learn(images[rows], labels[rows])
        seconds.append(clock() - begin)
    keep("w2.epoch", "s", (statistics.median(seconds), min(seconds)), "rows by index")
write()
