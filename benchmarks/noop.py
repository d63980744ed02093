"""What stressd itself costs an operation in a whole run: daemon, one worker, one lane, a closed loop on `noop`.

Supervision, samples, metrics, histograms, ledger and judge are included; `benchmarks/lane.py` measures the lane alone.

Run: python benchmarks/noop.py [--seconds N]
"""

import argparse

import load

MIXES = {"save": {"save": 1}, "read": {"save": 1, "read": 999}, "both": {"save": 1, "read": 3}}
MEASURED = ("save", "read", "scrub", "generate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    seconds = parser.parse_args().seconds
    for name, mix in MIXES.items():
        report = load.report_of({"mix": mix}, seconds)
        rate_per_s = sum(report["operations"][op]["rate_per_second"] for op in MEASURED if op in report["operations"])
        cost_us = report["harness"]["overhead_seconds_per_operation"] * 1e6
        rate = f"{1e6 / rate_per_s:6.2f} µs an operation, {rate_per_s:9,.0f} a second"
        print(f"{name:5} {rate}; by its own report {cost_us:.2f} µs")


if __name__ == "__main__":
    main()
