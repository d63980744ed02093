"""What each command of `featurestore` does: it takes the parsed arguments, prints, and returns the exit code."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from featurestore.cli import DAMAGED, FAILED, OK, USAGE, failed, say
from featurestore.config import FeatureStoreConfig, is_url
from featurestore.errors import FeatureStoreError, UnknownGroup
from featurestore.inspection import spans
from featurestore.recovery import Recovery
from featurestore.recovery import recover as recover_store
from featurestore.store import SimpleFeatureStore
from featurestore.table import iso, lines


def ls(options: argparse.Namespace) -> int:
    """List groups, or the features of one."""
    with _opened(options.base) as store:
        if options.group is not None:
            return _ls_group(store, options)
        if options.version is not None:
            say("--version needs a GROUP: every group counts its own commits")
            return USAGE
        code, records = OK, []
        for group in store.group_names():
            try:
                records.append(_summary(store, group))
            except FeatureStoreError as error:
                code = max(code, failed(error))
        _print(records, ("group", "features", "rows", "bytes", "commit", "kept", "saved"), as_json=options.json)
        return code


def show(options: argparse.Namespace) -> int:
    """Print rows of a feature."""
    with _opened(options.base) as store:
        frame = store.get_features([options.name], options.group, version=options.version)[options.name]
    wanted = list(frame.columns) if options.columns is None else options.columns.split(",")
    unknown = [column for column in wanted if column not in frame.columns]
    if unknown:
        say(f"{options.name} has no column {unknown[0]!r}; it has {', '.join(map(str, frame.columns))}")
        return FAILED
    rows = frame[wanted].head(len(frame) if options.rows is None else options.rows)
    if len(rows) < len(frame):
        say(f"{len(rows)} of {len(frame)} rows; --rows all prints every one")
    counted = isinstance(frame.index, pd.RangeIndex)
    if options.csv:
        _with_lists_as_json(rows).to_csv(sys.stdout, index=not counted, lineterminator="\n")
    elif options.json:
        (rows if counted else rows.reset_index()).to_json(
            sys.stdout, orient="records", date_format="iso", double_precision=15, force_ascii=False
        )
        print()
    else:
        with pd.option_context("display.max_colwidth", 60, "display.width", None):
            print(rows.to_string(index=not counted) if len(wanted) else f"{len(rows)} rows without columns")
    return OK


def history(options: argparse.Namespace) -> int:
    """List the commits that are kept."""
    with _opened(options.base) as store:
        revisions = [dataclasses.asdict(revision) for revision in store.history(options.group)]
    records = [{**revision, "saved": iso(revision["saved_at"])} for revision in revisions]
    _print(records, ("commit", "saved", "state", "features", "rows", "bytes", "changed"), as_json=options.json)
    return DAMAGED if any(revision["state"] == "damaged" for revision in revisions) else OK


def verify(options: argparse.Namespace) -> int:
    """Compare every file with its checksum."""
    with _opened(options.base) as store:
        if options.group is not None:
            store.history(options.group)  # raises where there is no such group
        damages = store.inspect(options.group)
        groups = 1 if options.group is not None else len(store.group_names())
    if options.json:
        print(json.dumps([{**dataclasses.asdict(damage), "lost": damage.lost} for damage in damages], indent=2))
    else:
        for damage in damages:
            print(damage)
    if damages:
        way_out = "save them again" if is_url(options.base) else f"see: featurestore recover {options.base} --dry-run"
        say(f"{len(damages)} damaged or missing; {way_out}")
        return DAMAGED
    if not options.json:
        print(f"every file of {groups} group{'s' * (groups != 1)} is whole")
    return OK


def recover(options: argparse.Namespace) -> int:
    """Go back to the newest whole commit."""
    done = recover_store(options.base, dry_run=options.dry_run)
    if options.json:
        print(json.dumps([dataclasses.asdict(recovery) for recovery in done], indent=2))
    else:
        for recovery in done:
            print("\n".join(_told(recovery, would=options.dry_run)))
        if not done:
            print("every group is whole; nothing to do")
    return DAMAGED if done and options.dry_run else OK


def gc(options: argparse.Namespace) -> int:
    """Remove commits beyond those to keep."""
    config = FeatureStoreConfig(
        options.base, cache_enabled=False, keep_versions=options.keep, grace_seconds=options.grace
    )
    _opened(options.base).close()  # there is a store: gc makes none
    code, records = OK, []
    with SimpleFeatureStore(config) as store:
        for group in store.group_names():
            try:
                records.append({"group": group, **dataclasses.asdict(store.collect(group))})
            except FeatureStoreError as error:
                code = max(code, failed(error))
    _print(records, ("group", "commits", "files", "bytes"), as_json=options.json)
    return code


def _opened(base: str) -> SimpleFeatureStore:
    return SimpleFeatureStore(FeatureStoreConfig(base, cache_enabled=False, read_only=True))


def _summary(store: SimpleFeatureStore, group: str) -> dict[str, object]:
    revisions = store.history(group)
    try:
        entries = store.entries(group)
    except UnknownGroup:  # dropped: its number is kept, and nothing else
        entries = {}
    return {
        "group": group,
        "features": len(entries),
        "rows": sum(entry.rows for entry in entries.values()),
        "bytes": sum(entry.bytes for entry in entries.values()),
        "commit": revisions[0].commit,
        "kept": sum(revision.state == "kept" for revision in revisions),
        "saved": iso(revisions[0].saved_at),
    }


def _ls_group(store: SimpleFeatureStore, options: argparse.Namespace) -> int:
    entries = store.entries(options.group, version=options.version)
    records = [{"feature": name, **dataclasses.asdict(entries[name])} for name in sorted(entries)]
    _print(records, ("feature", "rows", "bytes", "commit", "file"), as_json=options.json)
    return OK


def _with_lists_as_json(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with lists as JSON texts: NumPy writes them without commas, and leaves out what is long."""
    out = frame.copy(deep=False)
    for position in (i for i, kind in enumerate(frame.dtypes) if kind == np.dtype(object)):
        cells = [json.dumps(c.tolist()) if isinstance(c, np.ndarray) else c for c in frame.iloc[:, position]]
        column: Any = pd.Series(cells, index=frame.index, dtype=object)
        out.isetitem(position, column)
    return out


def _print(records: Sequence[Mapping[str, object]], columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(records, indent=2))
    else:
        print("\n".join(lines(records, columns)))


def _told(recovery: Recovery, *, would: bool) -> list[str]:
    """Return what was or would be done to a group, a line a fact."""
    will = "would be " if would else ""
    told = [f"{recovery.group}: {_outcome(recovery, will)}"]
    told += [f"  found    {damage.path} {damage.fault}" for damage in recovery.damages]
    if recovery.dropped:
        told.append(f"  dropped  commit{'s' * (len(recovery.dropped) > 1)} {spans(recovery.dropped)}")
    for loss in recovery.losses:
        back = f"back to commit {loss.back_to}" if loss.back_to is not None else "gone"
        told.append(f"  lost     {loss.feature} of commit {loss.commit} ({loss.rows:,} rows): {will}{back}")
    if recovery.moved:
        told.append(f"  moved    {len(recovery.moved)} files to {recovery.quarantine}")
    return told


def _outcome(recovery: Recovery, will: str) -> str:
    if recovery.published == recovery.newest:
        return f"commit {recovery.newest}, the newest, is whole and stays"
    if recovery.whole is None:
        kept = ", ".join(recovery.kept) or "nothing"
        return f"no commit is whole; what is of the newest ({kept}) {will or 'is '}published as {recovery.published}"
    return f"commit {recovery.whole}, the newest whole one, {will or 'is '}published again as {recovery.published}"
