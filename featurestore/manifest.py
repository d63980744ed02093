"""A manifest: what a group holds at one commit. Immutable, and written whole.

Bytes: a line `featurestore manifest 1 <xxh3_64 of the rest, 16 hex digits>`, then JSON, each feature on its own line:

    {"number":42,"txn":"...","features":{
    "basic":{"file":"basic/....parquet","commit":40,"rows":1000,"bytes":81234,"checksum":"..."},
    "text":{"file":"text/....parquet","commit":42,"rows":1000,"bytes":51234,"checksum":"..."}
    }}

`commit` is the number of the commit that wrote the file, `checksum` the xxh3_64 of the whole file. With `"void":true`
it stands in the place of a commit that recovery dropped, so that the log has no gap, and holds no features. On an
object store `"revoked":[...]` names transactions that cannot be published any more, and `"attempt":2` tells a manifest
that was put a second time from the first.

A feature's line stays the same, and mostly in its place, until the feature is saved again. That is what makes a
save into a group of a thousand features cheap: lines are joined, not made, and compared, not parsed.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import islice
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import numpy as np
import xxhash

_HEADER = b"featurestore manifest 1 "
_FEW_FEATURES = 16  # so many are parsed faster than compared
_BEFORE, _BETWEEN, _AFTER = b"\n", b",\n", b"\n}}"
_line_of = attrgetter("line")
_to_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Entry:
    """One feature's file: `name/txn.ending` below the data folder, writing commit, bytes, checksum in hex."""

    file: str
    commit: int
    rows: int
    bytes: int
    checksum: str

    @cached_property
    def line(self) -> builtins.bytes:
        """Its line of a manifest, without the comma. Made once: most entries are in many manifests."""
        facts = {name: getattr(self, name) for name in _FACTS}
        return _to_json({self.file.partition("/")[0]: facts})[1:-1].encode()


_FACTS = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True)
class Manifest:
    """Commit number, id of the transaction that made it, and the whole map from feature name to file.

    `void`: recovery dropped this commit. The newest one never is. `revoked`: transactions whose files are taken away.
    """

    number: int
    txn: str
    features: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    void: bool = False
    revoked: tuple[str, ...] = ()
    attempt: int = 0

    def files(self) -> set[str]:
        """Every file that this commit needs."""
        return {entry.file for entry in self.features.values()}

    def replaced_by(self, later: Manifest) -> list[Entry]:
        """Return the entries of this manifest whose files a later one does not hold any more."""
        held = later.features.get
        return [
            entry
            for name, entry in self.features.items()
            if (now := held(name)) is not entry and (now is None or now.file != entry.file)
        ]

    @cached_property
    def body(self) -> bytes:
        """Its bytes from the second line on."""
        seldom = {n: value for n in ("void", "revoked", "attempt") if (value := getattr(self, n))}
        start = _to_json({"number": self.number, "txn": self.txn, **seldom, "features": {}})[:-2].encode()
        return start + _BEFORE + _BETWEEN.join(map(_line_of, self.features.values())) + _AFTER

    def encode(self) -> bytes:
        """Its bytes, checksum included."""
        return b"%s%s\n%s" % (_HEADER, xxhash.xxh3_64_hexdigest(self.body).encode(), self.body)


EMPTY = Manifest(0, "")


def decode(data: bytes, number: int, like: Manifest = EMPTY) -> Manifest:
    """Return manifest `number` from its bytes; ValueError if they are not exactly what was written for it.

    Entries that `like` has too are taken from it, which costs a small part of parsing them.
    """
    header, _, body = data.partition(b"\n")
    if header != _HEADER + xxhash.xxh3_64_hexdigest(body).encode():
        raise ValueError("its checksum does not match")
    if len(like.features) >= _FEW_FEATURES and body.endswith(_AFTER):
        document = json.loads(body[: body.index(_BEFORE)] + b"}}")
        features = _features(body, like)
    else:
        document = json.loads(body)
        features = {name: Entry(**entry) for name, entry in document["features"].items()}
    if document["number"] != number:
        raise ValueError(f"it is number {document['number']}")
    seldom = document.get("void", False), tuple(document.get("revoked", ())), document.get("attempt", 0)
    found = Manifest(number, document["txn"], MappingProxyType(features), *seldom)
    vars(found)["body"] = body
    return found


def laid_over(base: Mapping[str, Entry], ours: dict[str, Entry]) -> dict[str, Entry]:
    """Return the base's entries, ours in their place or after them. A proxy's union is that of its dict, and fast."""
    return base | ours  # type: ignore[operator, no-any-return]


def _features(body: bytes, like: Manifest) -> dict[str, Entry]:
    """Parse the lines between the first and the last one that differ; those around them are as in `like`."""
    start, end = _lines(body)
    first, last = _difference(body, like.body)
    middle = body[first:last].removesuffix(_BETWEEN)
    parsed = list(map(_parsed, middle.split(_BETWEEN))) if middle else []
    before = body.count(b"\n", start, first)
    after = body.count(b"\n", last, end) + 1 if last < end else 0
    if list(islice(like.features, before, len(like.features) - after)) == [name for name, _ in parsed]:
        return laid_over(like.features, dict(parsed))
    known = list(like.features.items())
    return dict(known[:before] + parsed + known[len(known) - after :])


def _lines(body: bytes) -> tuple[int, int]:
    return body.index(_BEFORE) + len(_BEFORE), len(body) - len(_AFTER)


def _difference(body: bytes, other: bytes) -> tuple[int, int]:
    """Return where those lines begin and end that neither begin nor end the other body, too."""
    (start, end), (other_start, other_end) = _lines(body), _lines(other)
    one = np.frombuffer(body, np.uint8)[start:end]
    two = np.frombuffer(other, np.uint8)[other_start:other_end]
    first = max(body.rfind(b"\n", start, start + _bytes_alike(one, two)) + 1, start)
    alike = min(_bytes_alike(one[::-1], two[::-1]), end - first, other_end - other_start - (first - start))
    line = body.find(b"\n", end - alike, end) + 1
    return first, line or end


def _bytes_alike(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> int:
    """Return at which byte they differ first."""
    both = min(len(one), len(two))
    differ = one[:both] != two[:both]
    return int(differ.argmax()) if differ.any() else both


def _parsed(line: bytes) -> tuple[str, Entry]:
    ((name, entry),) = json.loads(b"{%s}" % line).items()
    return name, Entry(**entry)
