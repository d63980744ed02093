"""Probes: short scripted phases, each in a process of its own, that measure what a mixed load cannot.

Each returns figures under the names of the criteria they are for. They save and read through lanes of their own, so
that every read is judged and counted like any other.
"""

import contextlib
import os
import statistics
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import pandas as pd

from stressd.errors import TargetError
from stressd.scenario import Content, ProbeSettings
from stressd.stats.table import Table
from stressd.targets.loading import load_target
from stressd.targets.protocol import (
    Session,
    Target,
    TargetSpec,
    TargetWithDrop,
    abilities_of,
    group_name,
    guarantees_of,
)
from stressd.worker.batches import Batches
from stressd.worker.bench import Bench, movie_tables, recollection
from stressd.worker.channel import Channel
from stressd.worker.lane import Lane
from stressd.worker.memory import peak_resident_bytes, release_memory, resident_bytes
from stressd.worker.record import Served
from stressd.worker.spec import WorkerSpec
from stressd.worker.trace import Trace
from stressd.workload.ledger import Ledger

MB: Final = 1e6
PERCENT: Final = 100.0
BARRIER_S: Final = 30.0
SEEN_WITHIN_S: Final = 5.0
TOLD_WITHIN_S: Final = 60.0
HANDSHAKE_TRIES: Final = 8
HANDSHAKE_PAUSE_S: Final = 0.05

T = TypeVar("T")
Figures = dict[str, float]
Detail = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """What a probe has at hand. `groups` are those it saves, to be removed after it."""

    spec: WorkerSpec
    settings: ProbeSettings
    channel: Channel
    groups: list[str] = field(default_factory=list)

    def target(self, **options: Any) -> Target:
        """Build the run's target, with options moved."""
        return load_target(TargetSpec(self.spec.target.name, self.spec.target.options | options))

    def bench(self, target: Target, plan: Content, threads: int, name: str) -> Bench:
        """Return a bench with a ledger of its own, one key for each thread."""
        spec = self.spec
        ledger = Ledger.create(_ledger_path(spec), threads, run_id=spec.run_id, boot_id="")
        abilities = abilities_of(target)
        prefix = f"{spec.group_prefix}{spec.probe}-{name}-"
        self.groups.extend(group_name(prefix, key) for key in range(threads))
        return Bench(
            spec=spec,
            table=Table.open(os.path.join(spec.state_folder, "table")),
            tables=movie_tables(spec),
            ledger=ledger,
            plan=plan,
            keys_per_lane=1,
            group_prefix=prefix,
            guarantees=guarantees_of(target),
            abilities=abilities,
            trace=Trace(self.channel, os.path.join(spec.state_folder, "specimens")),
            process_lanes=range(threads),
            recollection=recollection(spec, abilities),
            first_row=spec.first_lane,
            full=True,
        )


def run_probe(spec: WorkerSpec, channel: Channel) -> None:
    """Run the probe that the spec names, and tell the parent what it found."""
    probe = ProbeRun(spec, spec.scenario.probe_settings, channel)
    try:
        figures, detail = PROBES[spec.probe](probe)
    finally:
        _tidy(probe)
    channel.send({"event": "found", "result": {"figures": figures, "detail": detail}})


def _tidy(probe: ProbeRun) -> None:
    """Remove what the probe saved, where the target can: each run has groups of its own, and they would add up."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_ledger_path(probe.spec))
    target = probe.target() if probe.groups else None
    if isinstance(target, TargetWithDrop):
        for group in probe.groups:
            target.drop(group)


def _ledger_path(spec: WorkerSpec) -> str:
    return os.path.join(spec.state_folder, f"ledger-probe-{spec.probe}")


def generation(run: ProbeRun) -> tuple[Figures, Detail]:
    """Features of batches of movies; the figure is that of the largest batch, its memory that of this process."""
    tables, detail = movie_tables(run.spec), Detail()
    rate = 0.0
    for size in run.settings.generation_movies:
        batches = Batches(tables, size, 0, pd.Timestamp(run.spec.as_of).date())
        rates = [_generate_rate(batches, size) for _ in range(run.settings.generation_repeats)]
        rate = statistics.median(rates)
        detail[f"movies_{size}_per_s"] = rate
    return {"generation_rate": rate, "generation_memory": peak_resident_bytes() / MB}, detail


def _generate_rate(batches: Batches, size: int) -> float:
    movies = batches.next()
    began = time.perf_counter()
    batches.generate(movies)
    return size / (time.perf_counter() - began)


def storage(run: ProbeRun) -> tuple[Figures, Detail]:
    """Save and read frames of random columns in several shapes, reads round the cache."""
    target = run.target()
    session = target.open()
    detail, served = Detail(), dict[str, list[Served]](save=[], read=[])
    for rows, columns in run.settings.storage_shapes:
        plan = Content(kind="random", rows=(rows, rows), columns=columns, names=("payload_0",))
        lane = run.bench(target, plan, 1, f"{rows}x{columns}").lane(0, session)
        saves = [lane.save(0) for _ in range(run.settings.storage_repeats)]
        reads = [lane.read(0, bypass=True) for _ in range(run.settings.storage_repeats)]
        detail[f"{rows}x{columns}"] = {"save_mb_per_s": _mb_per_s(saves), "read_mb_per_s": _mb_per_s(reads)}
        served["save"] += saves
        served["read"] += reads
    session.close()
    return {"save_throughput": _mb_per_s(served["save"]), "read_throughput": _mb_per_s(served["read"])}, detail


def _mb_per_s(served: list[Served]) -> float:
    good = [one for one in served if one.ok]
    busy_s = sum(one.service_ns for one in served) / 1e9
    return sum(one.payload_bytes for one in good) / MB / busy_s if busy_s else 0.0


def concurrency(run: ProbeRun) -> tuple[Figures, Detail]:
    """Threads behind a barrier, round after round: each saves its key, then reads its neighbour's."""
    threads, rounds = run.settings.concurrency_threads, run.settings.concurrency_rounds
    target = run.target()
    bench = run.bench(target, run.spec.scenario.content, threads, "c")
    barrier = threading.Barrier(threads)
    outcomes: list[list[bool]] = [[] for _ in range(threads)]
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            session = target.open()
            lane = bench.lane(number, session)
            for _ in range(rounds):
                barrier.wait(BARRIER_S)
                outcomes[number].append(lane.save(number).ok)
                barrier.wait(BARRIER_S)
                outcomes[number].append(lane.read((number + 1) % threads).ok)
            lane.scrub(number)  # the last save too is read by its owner
            session.close()
        except Exception as error:  # noqa: BLE001 - the top of a thread: told to the parent
            failures.append(error)
            barrier.abort()

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(BARRIER_S * 4)
    if failures:
        raise failures[0]
    flat = [ok for per_thread in outcomes for ok in per_thread]
    expected = 2 * threads * rounds
    return {"concurrent_success_rate": PERCENT * sum(flat) / expected}, {"threads": threads, "operations": expected}


def memory(run: ProbeRun) -> tuple[Figures, Detail]:
    """Generate, save and read again and again; what is held after collecting, over what was after one pass."""
    settings = run.settings
    target = run.target()
    session = target.open()
    plan = run.spec.scenario.content
    lane = run.bench(target, plan, 1, "m").lane(0, session)
    batches = Batches(movie_tables(run.spec), settings.memory_movies, 0, pd.Timestamp(run.spec.as_of).date())
    one_pass = _pass_of(lane, batches)
    one_pass()
    level = _held_after_collecting()
    for _ in range(settings.memory_repeats):
        one_pass()
    held = _held_after_collecting()
    session.close()
    return {"memory_released": (held - level) / MB}, {"level_mb": level / MB, "passes": settings.memory_repeats}


def _pass_of(lane: Lane, batches: Batches) -> Callable[[], None]:
    def one_pass() -> None:
        batches.generate(batches.next())
        lane.save(0)
        lane.read(0)

    return one_pass


def cache(run: ProbeRun) -> tuple[Figures, Detail]:
    """Features read twice, then once more past their time to live."""
    settings = run.settings
    abilities = abilities_of(run.target())
    option = abilities.ttl_option
    target = run.target(**({option: settings.cache_ttl_s} if option else {}))
    session = target.open()
    names = tuple(f"payload_{i}" for i in range(settings.cache_features))
    plan = Content(kind="random", rows=(settings.cache_rows, settings.cache_rows), columns=10, names=names)
    bench = replace(
        run.bench(target, plan, 1, "t"), recollection=recollection(_with_ttl(run.spec, option, settings), abilities)
    )
    lane = bench.lane(0, session)
    from_store, from_cache, expected, hits = [], [], 0, 0
    for _ in range(settings.cache_rounds):
        lane.save(0)
        from_store.append(lane.read(0))
        for _ in range(4):
            expected += 1
            again = lane.read(0)
            hits += again.source == "cache"
            from_cache.append(again)
    time.sleep(settings.cache_ttl_s * 1.1)
    late = lane.read(0)
    session.close()
    if not hits:
        return {"cache_hit_rate": 0.0, "cache_ttl_refresh": 0.0}, {"reads": expected}
    figures = {
        "cache_speedup": _median_ns(from_store, "store") / _median_ns(from_cache, "cache"),
        "cache_hit_rate": PERCENT * hits / expected,
        "cache_ttl_refresh": float(late.ok and late.source == "store"),
    }
    return figures, {"reads": expected, "ttl_s": settings.cache_ttl_s}


def _with_ttl(spec: WorkerSpec, option: str | None, settings: ProbeSettings) -> WorkerSpec:
    options = spec.target.options | ({option: settings.cache_ttl_s} if option else {})
    return replace(spec, target=TargetSpec(spec.target.name, options))


def _median_ns(served: list[Served], source: str) -> float:
    return statistics.median([one.service_ns for one in served if one.source == source] or [0])


def handshake_save(run: ProbeRun) -> tuple[Figures, Detail]:
    """Save a small group."""
    session = run.target().open()
    commit: Any = _tried_again(lambda: session.save(*_handshake(run.spec)))
    if commit is not None and not (isinstance(commit, int) and commit >= 0):
        raise TargetError(f"save returned {commit!r}; it is to return a commit number that grows, or None")
    session.close()
    return {}, {"saved": True}


def handshake_read(run: ProbeRun) -> tuple[Figures, Detail]:
    """Once told that the group was saved, see whether it can be read here, as soon as the target claims that it can."""
    target = run.target()
    session = target.open()
    group, features = _handshake(run.spec)
    run.channel.next(TOLD_WITHIN_S)
    claimed = guarantees_of(target)
    deadline_s = time.monotonic() + (0.0 if claimed.reads == "latest" else max(claimed.bound_s, SEEN_WITHIN_S))
    seen = _tried_again(lambda: _reads_as(session, group, features))
    while not seen and time.monotonic() < deadline_s:
        time.sleep(0.02)
        seen = _tried_again(lambda: _reads_as(session, group, features))
    session.close()
    run.groups.append(group)
    return {}, {"seen": seen}


def _tried_again(call: Callable[[], T]) -> T:
    """Return what the call returns, the last time if not before: a store that fails now and then is to be soaked."""
    for _ in range(HANDSHAKE_TRIES - 1):
        try:
            return call()
        except Exception:  # noqa: BLE001 - whatever a store raises; the last time it is told
            time.sleep(HANDSHAKE_PAUSE_S)
    return call()


def _handshake(spec: WorkerSpec) -> tuple[str, dict[str, pd.DataFrame]]:
    """Return the group to save: its content is this run's alone, for one that was killed may have left its own."""
    mine = zlib.crc32(spec.run_id.encode())
    return f"{spec.group_prefix}handshake", {"payload_0": pd.DataFrame({"id": [mine, mine + 1, mine + 2]})}


def _reads_as(session: Session, group: str, features: dict[str, pd.DataFrame]) -> bool:
    try:
        found = session.read(group, list(features))
    except KeyError:
        return False
    return all(found[name]["id"].tolist() == frame["id"].tolist() for name, frame in features.items())


def _held_after_collecting() -> int:
    release_memory()
    return resident_bytes()


PROBES: Final[dict[str, Callable[[ProbeRun], tuple[Figures, Detail]]]] = {
    "generation": generation,
    "storage": storage,
    "concurrency": concurrency,
    "memory": memory,
    "cache": cache,
    "handshake_save": handshake_save,
    "handshake_read": handshake_read,
}
