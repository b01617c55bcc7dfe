"""W6: Conv(1,8,5)-ReLU-MaxPool2-Conv(8,16,5)-ReLU-MaxPool2-Linear(256,10) in training.

Batches of 64; and a GPT block on 8x64x128 with 4 heads."""
from common import *

nn, f = torch.nn, torch.nn.functional


def stage(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 5), nn.ReLU(), nn.MaxPool2d(2)


net = nn.Sequential(*stage(1, 8), *stage(8, 16), nn.Flatten(), nn.Linear(256, 10))
images, labels = torch.rand(64, 1, 28, 28), torch.randint(0, 10, (64,))


def learner(**options):
    sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, **options)

    def learn():
        sgd.zero_grad(set_to_none=True)
        f.cross_entropy(net(images), labels).backward()
        sgd.step()

    return learn


@torch.no_grad()
def classify():
    net(images)


for text, switched_on in (("oneDNN", True), ("without oneDNN", False)):
    with torch.backends.mkldnn.flags(enabled=switched_on):
        show("w6.lenet", "ms", learner(), text)
        show("w6.lenet", "ms", learner(foreach=True), text + ", foreach")
        show("w6.lenet_forward", "ms", classify, text)

SEQUENCES, TOKENS, WIDTH, HEADS = 8, 64, 128, 4
HEAD = WIDTH // HEADS


def masked_scores(q, k, v):
    scores = (q @ k.transpose(2, 3)) / HEAD**0.5
    return scores.masked_fill(unseen, float("-inf")).softmax(3) @ v


def added_mask(q, k, v):
    rows = [h.reshape(SEQUENCES * HEADS, TOKENS, HEAD) for h in (q, k, v)]
    scores = torch.baddbmm(minus_infinity, rows[0], rows[1].transpose(1, 2), alpha=HEAD**-0.5)
    return (scores.softmax(2) @ rows[2]).view(SEQUENCES, HEADS, TOKENS, HEAD)


def built_in(q, k, v):
    return f.scaled_dot_product_attention(q, k, v, is_causal=True)


unseen = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
minus_infinity = torch.zeros(TOKENS, TOKENS).masked_fill(unseen, float("-inf"))


class Block(nn.Module):
    def __init__(self, attend):
        super().__init__()
        self.attend = attend
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(approximate="tanh"), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x):
        heads = (
            self.qkv(self.before(x)).view(SEQUENCES, TOKENS, 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        )
        seen = self.attend(*heads.unbind(0)).transpose(1, 2).reshape(SEQUENCES, TOKENS, WIDTH)
        x = x + self.project(seen)
        return x + self.mlp(self.between(x))


x = torch.randn(SEQUENCES, TOKENS, WIDTH, requires_grad=True)
gy = torch.randn(SEQUENCES, TOKENS, WIDTH)
ways = [("masked scores", masked_scores), ("mask added by the product", added_mask)]
if hasattr(f, "scaled_dot_product_attention"):
    ways.append(("built in", built_in))
for text, attend in ways:
    block = Block(attend)

    def both():
        block.zero_grad(set_to_none=True)
        x.grad = None
        block(x).backward(gy)

    @torch.no_grad()
    def forward():
        block(x)

    show("w6.gpt_block", "ms", both, text)
    show("w6.gpt_block_forward", "ms", forward, text)
write()
