"""The evidence of a violation: enough to file a bug against the store, bounded in size, and never in the way."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from stressd.workload.frames import STAMPS, Content
from stressd.workload.judge import Judgement, Note
from stressd.workload.ledger import Ledger

ROWS_MOST: Final = 10_000
OPERATIONS_MOST: Final = 200


def write_specimen(
    folder: str,
    lane: int,
    *,
    key: int,
    note: Note,
    judged: Judgement,
    frames: Mapping[str, Any] | None,
    content: Content,
    ledger: Ledger,
    seed: int,
    recent: Iterable[object] = (),
) -> str | None:
    """Write `<kind>-<lane>.json` and, beside it, each name's frame as it was read and as it should have been.

    `recent` are the operations before, newest last; the last 200 are kept. Frames are Parquet, or CSV where
    that cannot hold them, of at most 10,000 rows. Returns the path of the JSON; None if it could not be
    written. Never raises.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        stem = os.path.join(folder, f"{judged.kind}-{lane}")
        acked = note[0]
        told = {
            "kind": judged.kind,
            "detail": judged.detail,
            "key": key,
            "lane": lane,
            "seed": seed,
            "run_id": ledger.run_id,
            "acknowledged_before": acked,
            "seen_before": note[1],
            "slot_after": ledger.slot(key)._asdict(),
            "judgement": judged._asdict(),
            "frames": [_pair(stem, name, key, judged, acked, frames, content) for name in content.names],
            "operations_before": [str(operation) for operation in recent][-OPERATIONS_MOST:],
        }
        path = f"{stem}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(told, file, indent=1, default=str)
    except Exception:  # noqa: BLE001 - evidence is a courtesy; the violation is counted whether it can be kept or not
        return None
    return path


def _pair(
    stem: str,
    name: str,
    key: int,
    judged: Judgement,
    acked: int,
    frames: Mapping[str, Any] | None,
    content: Content,
) -> dict[str, Any]:
    actual = frames.get(name) if frames is not None else None
    seq = _expected_seq(judged, acked)
    expected = content.frame(key, name, seq) if seq else None
    return {
        "name": name,
        "expected_stamps": _stamps(expected),
        "actual_stamps": _stamps(actual),
        "expected_file": _kept(expected, f"{stem}-{name}-expected"),
        "actual_file": _kept(actual, f"{stem}-{name}-actual"),
    }


def _expected_seq(judged: Judgement, acked: int) -> int:
    """Return the save that should have come: the one it resembles, or else the one acknowledged."""
    if judged.kind in ("corrupt", "torn", "schema", "aliased") and judged.seq > 0:
        return judged.seq
    return acked


def _stamps(frame: Any) -> dict[str, list[str]] | None:
    """Return the different values of each stamp column, at most eight."""
    if not isinstance(frame, pd.DataFrame):
        return None
    return {
        stamp: [str(value) for value in frame[stamp].drop_duplicates().head(8)] for stamp in STAMPS if stamp in frame
    }


def _kept(frame: Any, stem: str) -> str | None:
    if not isinstance(frame, pd.DataFrame):
        return None
    head = frame.head(ROWS_MOST)
    try:
        path = f"{stem}.parquet"
        head.to_parquet(path)
    except Exception:  # noqa: BLE001 - mixed objects, doubled columns: what the store broke may not fit Parquet
        path = f"{stem}.csv"
        head.to_csv(path)
    return os.path.basename(path)
