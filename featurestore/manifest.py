"""A manifest: what a group holds at one commit. Immutable, and written whole.

Bytes: a line `featurestore manifest 1 <xxh3_64 of the rest, 16 hex digits>`, then JSON:

    {"number": 42, "txn": "...", "features": {"basic": {"file": "basic/....parquet", "commit": 40,
     "rows": 1000, "bytes": 81234, "checksum": "..."}}}

`commit` is the number of the commit that wrote the file, `checksum` the xxh3_64 of the whole file. With `"void": true`
it stands in the place of a commit that recovery dropped, so that the log has no gap, and holds no features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import xxhash

_HEADER = b"featurestore manifest 1 "


@dataclass(frozen=True, slots=True)
class Entry:
    """One feature's file: path below the group's data folder, writing commit, size in bytes, checksum in hex."""

    file: str
    commit: int
    rows: int
    bytes: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Commit number, id of the transaction that made it, and the whole map from feature name to file.

    `void`: recovery dropped this commit. The newest one never is.
    """

    number: int
    txn: str
    features: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    void: bool = False

    def files(self) -> set[str]:
        """Every file that this commit needs."""
        return {entry.file for entry in self.features.values()}

    def encode(self) -> bytes:
        """Its bytes, checksum included."""
        features = {
            name: {
                "file": e.file,
                "commit": e.commit,
                "rows": e.rows,
                "bytes": e.bytes,
                "checksum": e.checksum,
            }
            for name, e in self.features.items()
        }
        document = {"number": self.number, "txn": self.txn, "features": features}
        if self.void:
            document["void"] = True
        body = json.dumps(document, separators=(",", ":")).encode()
        return b"%s%s\n%s" % (_HEADER, xxhash.xxh3_64_hexdigest(body).encode(), body)


EMPTY = Manifest(0, "")


def decode(data: bytes, number: int) -> Manifest:
    """Return manifest `number` from its bytes; ValueError if they are not exactly what was written for it."""
    header, _, body = data.partition(b"\n")
    if header != _HEADER + xxhash.xxh3_64_hexdigest(body).encode():
        raise ValueError("its checksum does not match")
    document = json.loads(body)
    if document["number"] != number:
        raise ValueError(f"it is number {document['number']}")
    features = {name: Entry(**entry) for name, entry in document["features"].items()}
    return Manifest(number, document["txn"], MappingProxyType(features), void=document.get("void", False))
