"""Reading one snapshot of a group's features, through the cache or round it. Every byte read is checked."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping

import pandas as pd

from featurestore import datafile
from featurestore.cache import FeatureCache, Load
from featurestore.datafile import Decoded
from featurestore.disk import Disk
from featurestore.errors import CorruptFeature
from featurestore.manifest import Entry

_OPEN_FILES = 128
_WAIT_FOR_OTHERS_S = 60.0


class Overtaken(Exception):  # noqa: N818 - no error: it says "again", and never leaves the package
    """A file of this snapshot was collected before it was opened; a newer snapshot exists."""


class Reader(ABC):
    """Reads data files below one group's data folder, wherever that is. Thread-safe."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @abstractmethod
    def read(self, entries: Mapping[str, Entry]) -> dict[str, Decoded]:
        """Return the frames, each the caller's own. Raises Overtaken, or CorruptFeature naming the file."""

    @abstractmethod
    def content(self, entry: Entry) -> bytes | memoryview:
        """Return the file's bytes, as they are. Raises Overtaken if it is gone."""

    def read_cached(self, entries: Mapping[str, Entry], cache: FeatureCache) -> tuple[dict[str, pd.DataFrame], bool]:
        """Return the frames, each the caller's own, and whether all were in the cache.

        A frame that several threads miss at once is read by one of them. Raises as `read` does.
        """
        frames: dict[str, pd.DataFrame] = {}
        mine: dict[str, Entry] = {}
        others: dict[str, Load] = {}
        try:
            for name, entry in entries.items():
                frame, load, first = cache.claim(self._key(entry))
                if frame is not None:
                    frames[name] = frame
                elif first:
                    mine[name] = entry
                elif load is not None:
                    others[name] = load
            if len(frames) == len(entries):
                return frames, True
            for name, decoded in self.read(mine).items() if mine else ():
                key = self._key(entries[name])
                frames[name] = cache.fill(key, decoded.frame, decoded.bytes, decoded.nested)
        finally:
            if mine:
                cache.abandon(self._key(entry) for name, entry in mine.items() if name not in frames)
        for name, load in others.items():  # after our own, so that two threads never wait for each other
            frame = load.wait(_WAIT_FOR_OTHERS_S)
            frames[name] = frame if frame is not None else self.read({name: entries[name]})[name].frame
        return {name: frames[name] for name in entries}, False

    def problem(self, entry: Entry) -> str | None:
        """Return what is wrong with a file, None if it is whole. Raises Overtaken if it is gone."""
        try:
            return self._fault(entry, self.content(entry))
        except OSError as error:
            return str(error)

    def path(self, entry: Entry) -> str:
        """Where the file lies."""
        return f"{self._folder}/{entry.file}"

    _key = path

    def decode(self, entry: Entry, data: bytes | memoryview) -> Decoded:
        """Return the frame in these bytes of the file, once they are what was written."""
        if self._fault(entry, data):
            data = self.content(entry)  # once more: a bad read is not yet a bad file
        fault = self._fault(entry, data)
        if fault:
            raise CorruptFeature(f"{self.path(entry)} {fault}; save the feature again", self.path(entry))
        try:
            return datafile.decode(data, entry.file.rpartition(".")[2])
        except Exception as error:
            message = f"{self.path(entry)} matches its checksum but cannot be decoded: {error}"
            raise CorruptFeature(message, self.path(entry)) from error

    @staticmethod
    def _fault(entry: Entry, data: bytes | memoryview) -> str | None:
        if len(data) != entry.bytes:
            return f"has {len(data)} bytes, {entry.bytes} were written"
        if datafile.checksum(data) != entry.checksum:
            return "does not match its checksum"
        return None


class DiskReader(Reader):
    """Reads data files from a local disk."""

    def __init__(self, disk: Disk, folder: str) -> None:
        super().__init__(folder)
        self._disk = disk

    def read(self, entries: Mapping[str, Entry]) -> dict[str, Decoded]:
        """As `Reader` says. Files are opened before the first is read: an open file outlives its collection."""
        decoded = {}
        names = list(entries)
        for start in range(0, len(names), _OPEN_FILES):
            batch = {name: entries[name] for name in names[start : start + _OPEN_FILES]}
            with contextlib.ExitStack() as stack:
                opened = {name: self._open(entry, stack) for name, entry in batch.items()}
                for name, fd in opened.items():
                    decoded[name] = self.decode(batch[name], self._disk.read(fd)[0])
        return decoded

    def content(self, entry: Entry) -> bytes:
        """As `Reader` says."""
        with contextlib.ExitStack() as stack:
            return self._disk.read(self._open(entry, stack))[0]

    def _open(self, entry: Entry, stack: contextlib.ExitStack) -> int:
        try:
            fd = self._disk.open(self.path(entry))
        except FileNotFoundError as error:
            raise Overtaken(self.path(entry)) from error
        stack.callback(self._disk.close, fd)
        return fd
