"""W9: one W1 step, and the end."""
import torch

x = torch.rand(100, 3) * 2 - 1
y = (x.sum(1, keepdim=True) > 0).float()
net = torch.nn.Sequential(
    torch.nn.Linear(3, 4), torch.nn.Sigmoid(), torch.nn.Linear(4, 1), torch.nn.Sigmoid()
)
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
torch.nn.functional.binary_cross_entropy(net(x), y).backward()
sgd.step()
