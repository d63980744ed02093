"""FeatureStoreConfig: where a store lives and how it keeps, caches and protects what it is given."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from featurestore.errors import InvalidConfig

Compression = Literal["snappy", "zstd", "lz4", "gzip", "none"]
Format = Literal["parquet", "arrow"]
Durability = Literal["commit", "relaxed"]
OBJECT_STORES = ("s3", "gs", "az")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):/(/?)")


@dataclass(frozen=True)
class FeatureStoreConfig:
    """Settings of one store. Raises InvalidConfig with every setting that is wrong.

    base_path          folder of the store, made where absent; a local file system (NFS and the like are refused). Or
                       s3://bucket/folder, gs://bucket/folder, az://container/folder, as a text: an object store
    cache_enabled      keep decoded frames in this process; answers are the same without
    cache_max_size     entries (one feature's one version each); the least recently used goes first
    cache_max_bytes    bytes of frames; a frame larger than this is not kept
    cache_ttl_seconds  age at which an entry is read anew
    compression        of Parquet's pages. "arrow" files take lz4 and zstd, and are left uncompressed under "snappy"
    format             "parquet", which everyone reads, or "arrow" (Arrow IPC), which is faster
    durability         "commit": an acknowledged save survives a power cut. "relaxed": it survives the death of
                       every process, but nothing is forced to the disk. An object store knows no second kind
    keep_versions      commits of a group that stay readable, whatever their age
    grace_seconds      age below which a commit stays readable, however many came after it
    read_only          open a store that is there, and never create or change anything in it; what would raises
                       StoreReadOnly
    orphan_seconds     on an object store: age at which a file that no commit names is taken for a dead writer's
    object_store_options  credentials, region, endpoint and so on, by obstore's names, where the environment (AWS_*,
                       GOOGLE_*, AZURE_*) does not tell; never shown
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
    orphan_seconds: float = 3600.0
    object_store_options: Mapping[str, str] | None = field(default=None, repr=False, compare=False)

    @property
    def is_url(self) -> bool:
        """Whether the store lies on an object store."""
        return is_url(self.base_path)

    def __post_init__(self) -> None:
        problems = [*self._unknown_choices(), *self._out_of_range()]
        if not str(self.base_path):
            problems.append("base_path is empty; name a folder")
        problems += self._misplaced()
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

    def _misplaced(self) -> list[str]:
        scheme = _SCHEME.match(os.fspath(self.base_path))
        if scheme is None or self.is_url:
            return []
        known = ", ".join(f"{name}://" for name in OBJECT_STORES)
        if scheme[1] in OBJECT_STORES and not isinstance(self.base_path, str):
            return [f"base_path {self.base_path!r} lost a slash; give a URL as a text, not as a path"]
        return [f"base_path {self.base_path} is of no known kind; name a folder, or a URL of {known}"] * bool(scheme[2])

    def _out_of_range(self) -> list[str]:
        least = {
            "cache_max_size": 1,
            "cache_max_bytes": 1,
            "cache_ttl_seconds": 0,
            "keep_versions": 1,
            "grace_seconds": 0,
            "orphan_seconds": 0,
        }
        return [
            f"{name} {getattr(self, name)!r} is no number of at least {low}"
            for name, low in least.items()
            if not _is_at_least(getattr(self, name), low)
        ]


def _is_at_least(value: object, low: int) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= low  # NaN is not


def is_url(base_path: str | os.PathLike[str]) -> bool:
    """Whether this names a place on an object store."""
    return isinstance(base_path, str) and base_path.startswith(tuple(f"{scheme}://" for scheme in OBJECT_STORES))
