"""Every row of the comparison: what it is called, what stands beside it, what is to be reached, and what limits it.

The table that a run prints and docs/performance.md are made from these and the run's figures; {names} in the texts
are facts of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["met", "missed", "given"]


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on our figure or on the ratio of ours to the peer's."""

    of: Literal["ours", "ratio"]
    at_most: float | None = None
    at_least: float | None = None

    def holds(self, value: float) -> bool:
        """Whether the value is within the bound."""
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)

    def said(self, unit: str) -> str:
        """In words, for the table."""
        sign, bound = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {bound:g}×" if self.of == "ratio" else f"{sign} {bound:,g} {unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """One line: key of its figure, name, unit, peer, goal (None: the figure is given), and what limits it now."""

    key: str
    name: str
    unit: str
    peer: str
    goal: Goal | None
    limit: str


@dataclass(frozen=True, slots=True)
class Figure:
    """What a run measured for one row: ours, the peer's where there is one, the spread of both, and other facts."""

    ours: float
    peer: float | None = None
    spread: float | None = None
    facts: Mapping[str, Any] | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return self.ours / self.peer if self.peer else None


def verdict(row: Row, figure: Figure) -> Verdict:
    """Whether the goal was met; "given" where there is none."""
    if row.goal is None:
        return "given"
    value = figure.ours if row.goal.of == "ours" else figure.ratio
    return "met" if value is not None and row.goal.holds(value) else "missed"


def _ratio(at_most: float) -> Goal:
    return Goal("ratio", at_most=at_most)


def _at_least(ratio: float) -> Goal:
    return Goal("ratio", at_least=ratio)


_enough_movies = Goal("ours", at_least=150_000)
_none_fails = Goal("ours", at_most=0)

_ENCODING = "Arrow's Parquet encoder: {encode_share:.0%} of it. "
_DICTS = "Fetching each field from each movie's dict, a Python object at a time: {us_per_movie:.1f} µs a movie in all."
_OVERWRITES = "Nothing: who loses a race builds on the winner's commit and tries again, and others take turns."

ROWS = (
    Row(
        "own relaxed",
        "a commit's own cost, relaxed",
        "ms",
        "",
        Goal("ours", at_most=0.2),
        (
            "System calls: pin, manifest, link, a look at the head, removals, and an eighth of a collection. Making a "
            "file is the dearest; ext4 without a journal looks through the inodes removed in the last minutes first."
        ),
    ),
    Row(
        "own commit",
        "a commit's own cost, commit",
        "ms",
        "",
        Goal("ours", at_most=1.0),
        (
            "Three waits for the disk, one after the other: the manifest beside its data, the data's folder, and "
            "after the link the log's folder."
        ),
    ),
    Row(
        "save large relaxed",
        "save 10,000 × 30, relaxed",
        "ms",
        "to_parquet",
        _ratio(0.38),
        (_ENCODING + "Then the copy into the system's cache, and the checksum."),
    ),
    Row(
        "save large commit",
        "save 10,000 × 30, commit",
        "ms",
        "to_parquet (forces nothing)",
        _ratio(0.50),
        ("The disk, for 2.4 MB and two more waits; encoding is {encode_share:.0%} of it."),
    ),
    Row(
        "save small relaxed",
        "save 1,000 × 10, relaxed",
        "ms",
        "to_parquet",
        _ratio(0.70),
        (_ENCODING + "Half of that are its fixed costs; the commit's own cost is the rest."),
    ),
    Row(
        "save small commit",
        "save 1,000 × 10, commit",
        "ms",
        "to_parquet (forces nothing)",
        None,
        ("Waits for the disk; encoding is {encode_share:.0%} of it."),
    ),
    Row(
        "save six relaxed",
        "save six mixed frames as one, relaxed",
        "ms",
        "six to_parquet",
        None,
        ("Encoding six files; the commit is paid once."),
    ),
    Row(
        "save six commit",
        "save six mixed frames as one, commit",
        "ms",
        "six to_parquet (force nothing)",
        None,
        ("Six files and six folders, each forced to the disk."),
    ),
    Row(
        "read large",
        "read 10,000 × 30, cold, verified",
        "ms",
        "read_parquet",
        _ratio(0.55),
        ("Arrow's Parquet decoder, then one copy of each column into the frame."),
    ),
    Row(
        "read small",
        "read 1,000 × 10, cold, verified",
        "ms",
        "read_parquet",
        _ratio(0.45),
        ("Fixed costs: opening Arrow's Parquet reader and its columns is half of it."),
    ),
    Row(
        "read six",
        "read six mixed frames, cold, verified",
        "ms",
        "six read_parquet",
        None,
        ("The same, six times; texts are the dearest columns."),
    ),
    Row(
        "read cached",
        "read 10,000 × 30, cached",
        "µs",
        "deep copy",
        Goal("ours", at_most=50),
        ("Two looks at the log, so that another process's save is seen, and pandas' shallow copy."),
    ),
    Row(
        "cached to cold",
        "the same, beside cold",
        "µs",
        "our cold read",
        _ratio(0.01),
        ("As above; the faster a cold read, the harder this ratio. What was tried: docs/decisions/a-cached-read.md."),
    ),
    Row(
        "large relaxed",
        "Arrow, 1,000,000 × 30, relaxed",
        "MB/s",
        "raw write",
        _at_least(0.8),
        ("Memory: the columns are read once, hashed and written from the processor's cache."),
    ),
    Row(
        "large commit",
        "Arrow, 1,000,000 × 30, commit",
        "MB/s",
        "raw write and fsync",
        _at_least(0.8),
        ("The disk's own speed."),
    ),
    Row(
        "one row Delta",
        "one row overwritten, relaxed",
        "ms",
        "Delta Lake (forces nothing)",
        _ratio(1.0),
        ("Encoding and the commit's own cost, about half each; {commit_ms:.2g} ms where all is forced to the disk."),
    ),
    Row("one row Lance", "one row overwritten, relaxed", "ms", "Lance (forces nothing)", _ratio(1.0), ("The same.")),
    Row("overwrites Delta", "60 concurrent overwrites, 6 processes", "failed", "Delta Lake", _none_fails, _OVERWRITES),
    Row("overwrites Lance", "60 concurrent overwrites, 6 processes", "failed", "Lance", _none_fails, _OVERWRITES),
    Row("overwrites many", "320 overwrites, 8 processes × 4 threads", "failed", "", _none_fails, _OVERWRITES),
    Row(
        "group 1000",
        "save into a group of 1,000 names",
        "ms",
        "a group of 10",
        _ratio(3.0),
        ("The manifest, which names them all: 160 kB joined, hashed and written, and read when it is collected."),
    ),
    Row("group 10000", "save into a group of 10,000 names", "ms", "a group of 10", None, "The same, 1.6 MB."),
    Row("movies 1000", "features of 1,000 movies", "movies/s", "a movie at a time", _enough_movies, _DICTS),
    Row("movies 10000", "features of 10,000 movies", "movies/s", "", _enough_movies, _DICTS),
    Row("movies 100000", "features of 100,000 movies", "movies/s", "", _enough_movies, _DICTS),
    Row(
        "movies streamed",
        "features of 1,000,000 movies, streamed",
        "movies/s",
        "",
        _enough_movies,
        ("The same, and a pass before it over all movies for the statistical table: {us_per_movie:.1f} µs a movie."),
    ),
    Row(
        "memory streamed",
        "peak memory of these",
        "MB",
        "",
        Goal("ours", at_most=1000),
        ("The libraries, the chunk at work, and three numbers of each movie for the statistical table."),
    ),
)
