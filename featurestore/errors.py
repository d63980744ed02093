"""The errors of the store, told apart by type.

An exception from a save means that nothing was saved, with one exception: CommitUnknown.
"""

# ruff: noqa: N818 - they say what happened; "Error" on each would say nothing more
from __future__ import annotations


class FeatureStoreError(Exception):
    """Root of everything the store raises on purpose."""


class StoreClosed(FeatureStoreError):
    """The store object was closed; open another one on the same base."""


class StoreReadOnly(FeatureStoreError):
    """The store was opened with read_only=True; it can only be read."""


class InvalidConfig(FeatureStoreError, ValueError):
    """A setting is out of its range or names something unknown."""


class InvalidName(FeatureStoreError, ValueError):
    """A group's or feature's name is not safe in a path; nothing touched the disk."""


class InvalidFrame(FeatureStoreError, ValueError):
    """A frame cannot be stored so that it comes back the same; nothing touched the disk."""


class _Unknown(FeatureStoreError, KeyError):
    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print the message quoted, as if it were a key


class UnknownGroup(_Unknown):
    """No such group; the message names those that exist."""


class UnknownFeature(_Unknown):
    """No such feature in the group; the message names those that exist."""


class UnknownVersion(_Unknown):
    """This commit never was, or is not kept any more."""


class SaveFailed(FeatureStoreError):
    """Definite: nothing was saved. The operating system's error is the `__cause__`."""


class ReadFailed(FeatureStoreError):
    """The operating system refused a read. Its error is the `__cause__`."""


class CommitUnknown(FeatureStoreError):
    """The save may or may not be durable. A later read tells what is there; its files are left alone."""


class CorruptFeature(FeatureStoreError):
    """A file does not match its checksum, twice. `path` names it."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path
