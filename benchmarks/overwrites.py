"""One-row commits, and overwrites by several processes at once: ours, Delta Lake and Lance."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import threading
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

import pandas as pd
from peers import KINDS, installed
from rounds import Call, Taken, interleaved

PROCESSES = multiprocessing.get_context("spawn")  # Delta and Lance have threads of their own, which no fork survives
DEADLINE_S = 120.0
FEW = (6, 1, 10)
"""Processes, threads of each, overwrites of each thread."""

MANY = (8, 4, 10)


def one_row_commits(folder: str, rounds: int) -> dict[str, Taken]:
    """Time one row overwritten, by turns."""
    frame = pd.DataFrame({"value": [1.0]})
    stores = {name: kind(os.path.join(folder, name.replace(", ", "-"))) for name, kind in installed().items()}
    return interleaved(
        {name: Call(lambda store=store: store.overwrite(frame)) for name, store in stores.items()},  # type: ignore[misc]
        rounds,
    )


def concurrent(folder: str, name: str, how_many: tuple[int, int, int]) -> dict[str, Any]:
    """Count overwrites by so many processes and threads at once; how many of them failed, and why the first one did."""
    processes, threads, times = how_many
    path = os.path.join(folder, f"{name}-{processes}x{threads}".replace(", ", "-"))
    KINDS[name](path).overwrite(_frame(0))  # so that it is there
    barrier, answers = PROCESSES.Barrier(processes), PROCESSES.Queue()
    children = [
        PROCESSES.Process(target=_overwrite, args=(name, path, threads, times, barrier, answers))
        for _ in range(processes)
    ]
    for child in children:
        child.start()
    errors = [error for _ in children for error in answers.get(timeout=DEADLINE_S)]
    for child in children:
        child.join(DEADLINE_S)
    return {"overwrites": processes * threads * times, "failed": len(errors), "first": errors[0] if errors else ""}


def _overwrite(name: str, path: str, threads: int, times: int, barrier: Barrier, answers: Queue[list[str]]) -> None:
    importlib.import_module(KINDS[name].needs)
    store, frame = KINDS[name](path), _frame(1)
    errors: list[str] = []
    barrier.wait(DEADLINE_S)

    def run() -> None:
        for _ in range(times):
            try:
                store.overwrite(frame)
            except Exception as error:  # noqa: BLE001 - whatever it is, it counts
                errors.append(f"{type(error).__name__}: {str(error)[:200]}")

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    answers.put(errors)


def _frame(value: float) -> pd.DataFrame:
    return pd.DataFrame({"value": [value] * 8})
