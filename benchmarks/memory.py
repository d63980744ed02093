"""Whether the daemon grows with what it counts: its memory over some million operations of `noop`, at a constant rate.

Prints the resident size on the way, and its slope with the interval that a run's own memory is judged by. The first
hundredth of the operations is left out: a daemon imports as it needs.

Run: python benchmarks/memory.py [--operations N] [--rate PER_SECOND]
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import load

from stressd.verdict.statistics import batch_medians, theil_sen

MB = 1e6
HOUR_S = 3600
EVERY_S = 0.5
BATCHES = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=10_000_000)
    parser.add_argument("--rate", type=float, default=10_000)
    given = parser.parse_args()
    seconds = given.operations / given.rate
    at_s, sizes = [], []
    with tempfile.TemporaryDirectory() as name:
        run = load.command(Path(name), {"processes": 2, "rate": given.rate}, seconds)
        with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
            table = Path(name) / "state" / "table"
            while not load.operations(table):
                time.sleep(0.05)
            began_s = time.monotonic()
            while (elapsed_s := time.monotonic() - began_s) < seconds - 1:
                at_s.append(elapsed_s)
                sizes.append(resident_bytes(daemon.pid))
                time.sleep(EVERY_S)
            done = load.operations(table)
            daemon.wait(120)
    first = next(index for index, elapsed_s in enumerate(at_s) if elapsed_s >= seconds / 100)
    slope = theil_sen(*batch_medians(at_s[first:], sizes[first:], BATCHES), 0.90).scaled(HOUR_S / MB)
    for share in range(10):
        index = first + (len(sizes) - 1 - first) * share // 9
        print(f"after {at_s[index] * given.rate:12,.0f}: {sizes[index] / MB:.1f} MB")
    print(f"{done:,} operations in {at_s[-1]:,.0f} s")
    print(f"slope {slope.value:+.2f} MB/h ({slope.low:+.2f} to {slope.high:+.2f})")


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


if __name__ == "__main__":
    main()
