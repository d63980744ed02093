"""Reading one snapshot of a group's features from an object store: all objects at once, each checked."""

from __future__ import annotations

from collections.abc import Mapping

from featurestore.datafile import Decoded
from featurestore.manifest import Entry
from featurestore.objects.bucket import Bucket
from featurestore.reader import Overtaken, Reader


class ObjectReader(Reader):
    """Reads data files below one group's data folder. Thread-safe."""

    def __init__(self, bucket: Bucket, data: str) -> None:
        super().__init__(f"{bucket.url}/{data}")
        self._bucket = bucket
        self._data = data

    def read(self, entries: Mapping[str, Entry]) -> dict[str, Decoded]:
        """Return the frames, each the caller's own. Raises Overtaken, or CorruptFeature naming the object."""
        contents = self._bucket.each(self.content, entries.values())
        named = zip(entries.items(), contents, strict=True)
        return {name: self.decode(entry, data) for (name, entry), data in named}

    def content(self, entry: Entry) -> memoryview:
        """Return the object's bytes, as they are. Raises Overtaken if it is gone."""
        try:
            return self._bucket.get(f"{self._data}/{entry.file}")[0]
        except FileNotFoundError as error:
            raise Overtaken(self.path(entry)) from error
