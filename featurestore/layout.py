"""Where things lie below a store's base, and which names may become part of a path.

<base>/.featurestore                         the store's random id
<base>/<group>/log/00000000000000000042      manifests, numbered without gaps; the highest is the head
<base>/<group>/data/<name>/<txn>.parquet     data files, immutable
<base>/<group>/pins/<number>-<txn>           one per save in progress, locked by its process
<base>/<group>/tmp/<txn>                     a manifest before it is published
<base>/<group>/horizon                       a symbolic link to a number: those below it may be collected
<base>/<group>/turn, collector               files for flock
<base>/<group>/recovering                    there while recovery is at work or was interrupted: nothing is collected
<base>/<group>/quarantine/data/<name>/...    what recovery took out, under the names that it had, and
<base>/<group>/quarantine/log/...            the manifests that it replaced
"""

from __future__ import annotations

import os
import re

from featurestore.errors import InvalidName

STORE_ID = ".featurestore"
STORE_ID_FORM = re.compile(rb"[0-9a-f]{32}")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def checked_name(name: object, kind: str) -> str:
    """Return the name, if it is safe in a path; raises InvalidName otherwise."""
    if isinstance(name, str) and is_safe_name(name):
        return name
    raise InvalidName(
        f"{kind} name {name!r} is not safe in a path; use 1 to 128 ASCII letters, digits, '.', '_' and '-', "
        "not starting with '.'"
    )


def is_safe_name(name: str) -> bool:
    """Whether the name may become part of a path."""
    return _SAFE_NAME.fullmatch(name) is not None


class GroupLayout:
    """The paths of one group."""

    __slots__ = (
        "base",
        "collector",
        "data",
        "horizon",
        "log",
        "pins",
        "quarantine",
        "recovering",
        "root",
        "tmp",
        "turn",
    )

    def __init__(self, base: str, group: str) -> None:
        self.base = base
        self.root = os.path.join(base, group)
        self.log = f"{self.root}/log"
        self.data = f"{self.root}/data"
        self.pins = f"{self.root}/pins"
        self.tmp = os.path.join(self.root, "tmp")
        self.quarantine = f"{self.root}/quarantine"
        self.recovering = f"{self.root}/recovering"
        self.horizon = f"{self.root}/horizon"
        self.turn = f"{self.root}/turn"
        self.collector = f"{self.root}/collector"

    def folders(self) -> list[tuple[str, str]]:
        """(folder, its parent) for every folder a save needs, parents first."""
        below = [(folder, self.root) for folder in (self.log, self.data, self.pins, self.tmp)]
        return [(self.root, self.base), *below]
