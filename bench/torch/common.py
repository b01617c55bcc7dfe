"""What the PyTorch side shares: rounds, medians, one line a figure, a JSON file.

As the other side, on one thread it counts process CPU time."""
import json
import os
import statistics
import sys
import time

import torch

THREADS = int(os.environ.get("THREADS", "1"))
QUICK = os.environ.get("QUICK") == "1"
torch.set_num_threads(THREADS)
torch.manual_seed(0)
clock = time.process_time if THREADS == 1 else time.perf_counter
figures = {}


def measure(step):
    """Seconds a call: (median, tenth percentile)."""
    warm, length = (0.01, 0.01) if QUICK else (0.2, 0.06)
    calls, begin = 0, clock()
    while calls < 3 or clock() - begin < warm:
        step()
        calls += 1
    one = (clock() - begin) / calls
    repeat = max(1, int(length / one))
    samples = []
    for _ in range(1 if QUICK else 5 if one > 0.3 else 15):
        begin = clock()
        for _ in range(repeat):
            step()
        samples.append((clock() - begin) / repeat)
    samples.sort()
    return statistics.median(samples), samples[len(samples) // 10]


def keep(name, unit, times, way):
    """Of several ways to do the same work the fastest counts."""
    factor = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9, "MB": 1}[unit]
    median, p10 = times[0] * factor, times[1] * factor
    print("%-28s %-34s %12.2f %-2s  p10 %12.2f" % (name, way, median, unit, p10), flush=True)
    if name not in figures or median < figures[name]["median"]:
        figures[name] = {
            "name": name,
            "threads": 0 if unit == "MB" else THREADS,
            "median": median,
            "p10": p10,
            "unit": unit,
            "note": way,
        }


def show(name, unit, step, way="", times=1):
    median, p10 = measure(step)
    keep(name, unit, (median / times, p10 / times), way)


def peak():
    """The largest resident memory of this process, bytes."""
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    return 0


def write():
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump({"figures": list(figures.values())}, file, indent=1)
