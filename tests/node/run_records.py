"""A run's record, as `run.json` holds it, for tests that need one."""

from stressd.node.state import RunRecord

_PLAIN = {
    "run_id": "run",
    "prefix": "run-",
    "seed": 7,
    "scenario": {},
    "target": "embedded",
    "target_options": {},
    "guarantees": {},
    "movies_path": None,
    "movies_sha256": "",
    "as_of": "2026-01-01",
    "lanes": 2,
    "keys_per_lane": 2,
    "one_process": False,
    "stores": True,
    "boot_id": "boot",
    "version": "0.1.0",
    "started_at": "2026-01-01T00:00:00+00:00",
}


def run_record(**changes):
    return RunRecord(**(_PLAIN | changes))
