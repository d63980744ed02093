"""featurestore: DataFrames by group and name on a local disk or an object store, and features from movies.

Everything is imported when first asked for: the command's help costs no pandas, and who only makes features no store.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurestore.answers import Commit, Snapshot, StoreStats
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
        StoreReadOnly,
        UnknownFeature,
        UnknownGroup,
        UnknownVersion,
    )
    from featurestore.history import Revision
    from featurestore.inspection import Damage
    from featurestore.movies import (
        AdvancedTMDBPreProcessor,
        generate_movies,
        iter_features,
        movies_from_csv,
        movies_from_jsonl,
    )
    from featurestore.recovery import Recovery, recover
    from featurestore.store import SimpleFeatureStore

__all__ = [
    "AdvancedTMDBPreProcessor",
    "CacheStats",
    "Collected",
    "Commit",
    "CommitUnknown",
    "CorruptFeature",
    "Damage",
    "FeatureCache",
    "FeatureStoreConfig",
    "FeatureStoreError",
    "InvalidConfig",
    "InvalidFrame",
    "InvalidName",
    "ReadFailed",
    "Recovery",
    "Revision",
    "SaveFailed",
    "SimpleFeatureStore",
    "Snapshot",
    "StoreClosed",
    "StoreReadOnly",
    "StoreStats",
    "UnknownFeature",
    "UnknownGroup",
    "UnknownVersion",
    "generate_movies",
    "iter_features",
    "movies_from_csv",
    "movies_from_jsonl",
    "recover",
]

_ELSEWHERE = {
    "answers": ("Commit", "Snapshot", "StoreStats"),
    "cache": ("CacheStats", "FeatureCache"),
    "collection": ("Collected",),
    "config": ("FeatureStoreConfig",),
    "history": ("Revision",),
    "inspection": ("Damage",),
    "movies": (
        "AdvancedTMDBPreProcessor",
        "generate_movies",
        "iter_features",
        "movies_from_csv",
        "movies_from_jsonl",
    ),
    "recovery": ("Recovery", "recover"),
    "store": ("SimpleFeatureStore",),
}
_HOMES = {name: module for module, names in _ELSEWHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"featurestore.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
