"""The other stores in the comparison: Delta Lake and Lance, as their documentation shows their use."""

from __future__ import annotations

import importlib.util
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from featurestore import FeatureStoreConfig, SimpleFeatureStore


class Overwriter(Protocol):
    """A table at one path, that is overwritten whole."""

    def overwrite(self, frame: pd.DataFrame) -> None:
        """Replace all its rows."""


class Delta:
    """One Delta table."""

    needs = "deltalake"

    def __init__(self, path: str) -> None:
        self._path = path

    def overwrite(self, frame: pd.DataFrame) -> None:
        """Replace the table's rows, as one commit."""
        import deltalake  # noqa: PLC0415 - only where it is installed

        deltalake.write_deltalake(self._path, _table(frame), mode="overwrite")


class Lance:
    """One Lance dataset."""

    needs = "lance"

    def __init__(self, path: str) -> None:
        self._path = path

    def overwrite(self, frame: pd.DataFrame) -> None:
        """Replace the dataset's rows, as one commit."""
        import lance  # noqa: PLC0415 - only where it is installed

        lance.write_dataset(_table(frame), self._path, mode="overwrite")


class Ours:
    """One feature of our store."""

    needs = "featurestore"

    def __init__(self, path: str, **settings: Any) -> None:
        self._store = SimpleFeatureStore(FeatureStoreConfig(path, grace_seconds=0, **settings))

    def overwrite(self, frame: pd.DataFrame) -> None:
        """Save the feature, as one commit."""
        self._store.save_features("g", {"f": frame})


class OursRelaxed(Ours):
    """The same without forcing anything to the disk, as Lance and Delta do on a local one."""

    def __init__(self, path: str) -> None:
        super().__init__(path, durability="relaxed")


KINDS: dict[str, Any] = {"ours, commit": Ours, "ours, relaxed": OursRelaxed, "Delta": Delta, "Lance": Lance}


def installed() -> dict[str, Any]:
    """Return those whose library is here, by name."""
    return {name: kind for name, kind in KINDS.items() if importlib.util.find_spec(kind.needs)}


def _table(frame: pd.DataFrame) -> Any:
    return pa.Table.from_pandas(frame, preserve_index=False)
