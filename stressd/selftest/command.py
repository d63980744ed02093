"""`stressd selftest`: runs every case, shows what came of it, exits 1 if a lie was missed, misnamed, or made up."""

import os
import random
import shutil
import signal
import sys
import time
from contextlib import closing
from typing import Final

from stressd.errors import ExitCode
from stressd.selftest.campaign import new_folder, run_all
from stressd.selftest.cases import cases
from stressd.selftest.forked import Command
from stressd.selftest.showing import Progress, print_json, print_table

BUSY: Final = 4.0  # a core's load: the selftest's own stays below


def selftest(command: Command, *, seed: int | None, long: bool, only: tuple[str, ...], as_json: bool) -> int:
    """Run the selftest and print its result to stdout; return the exit code. UsageError for a lie there is none of."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    chosen = cases(seed, long=long, only=only)
    began_s = time.monotonic()
    signal.signal(signal.SIGTERM, _terminated)  # so that no run stays behind
    folder = new_folder()
    print(f"selftest of {len(chosen)} runs, seed {seed}, in {folder}", file=sys.stderr, flush=True)
    outcomes = []
    try:
        with closing(Progress(sys.stderr, len(chosen))) as progress:
            outcomes = run_all(chosen, folder, command, progress.show)
    finally:
        if all(outcome.ok for outcome in outcomes):  # and where it was interrupted
            shutil.rmtree(folder, ignore_errors=True)
    show = print_json if as_json else print_table
    show(outcomes, seed, time.monotonic() - began_s, sys.stdout)
    right = all(outcome.ok for outcome in outcomes)
    if not right and (load := os.getloadavg()[0]) > BUSY * (cores := len(os.sched_getaffinity(0))):
        said = f"this machine is busy with other things (load {load:.0f} on {cores} cores): drifts may be misjudged"
        print(f"{said}; run it again when it is not", file=sys.stderr)
    return int(ExitCode.PASS if right else ExitCode.FAIL)


def _terminated(_number: int, _frame: object) -> None:
    raise SystemExit(int(ExitCode.TERMINATED))
