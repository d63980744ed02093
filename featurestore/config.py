"""FeatureStoreConfig: where a store lives and how it keeps, caches and protects what it is given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from featurestore.errors import InvalidConfig

Compression = Literal["snappy", "zstd", "lz4", "gzip", "none"]
Format = Literal["parquet", "arrow"]
Durability = Literal["commit", "relaxed"]


@dataclass(frozen=True)
class FeatureStoreConfig:
    """Settings of one store. Raises InvalidConfig with every setting that is wrong.

    base_path          folder of the store, made where absent; a local file system (NFS and the like are refused)
    cache_enabled      keep decoded frames in this process; answers are the same without
    cache_max_size     entries (one feature's one version each); the least recently used goes first
    cache_max_bytes    bytes of frames; a frame larger than this is not kept
    cache_ttl_seconds  age at which an entry is read anew
    compression        of Parquet's pages. "arrow" files take lz4 and zstd, and are left uncompressed under "snappy"
    format             "parquet", which everyone reads, or "arrow" (Arrow IPC), which is faster
    durability         "commit": an acknowledged save survives a power cut. "relaxed": it survives the death of
                       every process, but nothing is forced to the disk
    keep_versions      commits of a group that stay readable, whatever their age
    grace_seconds      age below which a commit stays readable, however many came after it
    read_only          open a store that is there, and never create or change anything in it; what would raises
                       StoreReadOnly
    """

    base_path: str | os.PathLike[str]
    cache_enabled: bool = True
    cache_max_size: int = 100
    cache_max_bytes: int = 256 * 1024 * 1024
    cache_ttl_seconds: float = 3600.0
    compression: Compression = "snappy"
    format: Format = "parquet"
    durability: Durability = "commit"
    keep_versions: int = 8
    grace_seconds: float = 600.0
    read_only: bool = False

    def __post_init__(self) -> None:
        problems = [*self._unknown_choices(), *self._out_of_range()]
        if not str(self.base_path):
            problems.append("base_path is empty; name a folder")
        if self.format == "arrow" and self.compression == "gzip":
            problems.append('compression "gzip" does not exist for format "arrow"; use lz4, zstd or none')
        if problems:
            raise InvalidConfig("; ".join(problems))

    def _unknown_choices(self) -> list[str]:
        choices = {"compression": Compression, "format": Format, "durability": Durability}
        return [
            f"{name} {getattr(self, name)!r} is unknown; choose one of {', '.join(get_args(known))}"
            for name, known in choices.items()
            if getattr(self, name) not in get_args(known)
        ]

    def _out_of_range(self) -> list[str]:
        least = {
            "cache_max_size": 1,
            "cache_max_bytes": 1,
            "cache_ttl_seconds": 0,
            "keep_versions": 1,
            "grace_seconds": 0,
        }
        return [
            f"{name} {getattr(self, name)!r} is no number of at least {low}"
            for name, low in least.items()
            if not _is_at_least(getattr(self, name), low)
        ]


def _is_at_least(value: object, low: int) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= low  # NaN is not
