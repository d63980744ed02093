"""featurestore: DataFrames by group and name on a local disk, and features from movies.

The store is imported with the package; what makes features is imported when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from featurestore.cache import CacheStats, FeatureCache
from featurestore.collection import Collected
from featurestore.config import FeatureStoreConfig
from featurestore.errors import (
    CommitUnknown,
    CorruptFeature,
    FeatureStoreError,
    InvalidConfig,
    InvalidFrame,
    InvalidName,
    ReadFailed,
    SaveFailed,
    StoreClosed,
    UnknownFeature,
    UnknownGroup,
    UnknownVersion,
)
from featurestore.store import Commit, SimpleFeatureStore, Snapshot, StoreStats

if TYPE_CHECKING:
    from featurestore.movies import (
        AdvancedTMDBPreProcessor,
        generate_movies,
        movies_from_csv,
        movies_from_jsonl,
    )

_FROM_MOVIES = frozenset({"AdvancedTMDBPreProcessor", "generate_movies", "movies_from_csv", "movies_from_jsonl"})

__all__ = [
    "AdvancedTMDBPreProcessor",
    "CacheStats",
    "Collected",
    "Commit",
    "CommitUnknown",
    "CorruptFeature",
    "FeatureCache",
    "FeatureStoreConfig",
    "FeatureStoreError",
    "InvalidConfig",
    "InvalidFrame",
    "InvalidName",
    "ReadFailed",
    "SaveFailed",
    "SimpleFeatureStore",
    "Snapshot",
    "StoreClosed",
    "StoreStats",
    "UnknownFeature",
    "UnknownGroup",
    "UnknownVersion",
    "generate_movies",
    "movies_from_csv",
    "movies_from_jsonl",
]


def __getattr__(name: str) -> Any:
    if name in _FROM_MOVIES:
        return getattr(import_module("featurestore.movies"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
