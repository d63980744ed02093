"""What the store answers with."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True)
class Commit:
    """An acknowledged save: the group's commit number, and the path of each feature's file."""

    number: int
    paths: dict[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Frames of one commit, the caller's own; `cached` if every one came from the cache."""

    frames: dict[str, pd.DataFrame]
    commit: int
    cached: bool


@dataclass(frozen=True, slots=True)
class StoreStats:
    """On disk: groups, features, files (manifests too) and bytes. By this process: commits, lost races."""

    groups: int
    features: int
    files: int
    bytes: int
    commits: int
    conflicts: int
