"""One save of many is lost, wherever it is among them: it is found, once, and by its name.

`make soak-truth` does it with 20,000 saves and twenty seeds.
"""

import json
import os
import random
import time

import pytest
from daemon import Daemon, criterion, write_scenario

THOROUGH = bool(os.environ.get("STRESSD_TRUTH_READS"))
SAVES = 20_000 if THOROUGH else 1_000
SEEDS = 20 if THOROUGH else 2
WITHIN_S = 900 if THOROUGH else 90
MIX = {"generate": 0, "save": 90, "read": 5, "read_store": 0, "scrub": 5}


@pytest.mark.timeout(WITHIN_S + 60)
@pytest.mark.parametrize("number", range(SEEDS))
def test_one_lost_save_among_many_is_found(tmp_path, number, run_seed):
    seed = random.Random(f"{run_seed}:{number}").randrange(2**32)
    # Each save is a read and a save, so that the call is reached before the saves are through.
    at = random.Random(seed).randrange(1, 2 * SAVES - 100)
    scenario = write_scenario(
        tmp_path,
        duration_s=None,
        content={"kind": "random", "rows": 2, "columns": 1, "names": 1},
        keys_per_lane=5,
        pool={"processes": 1, "threads": 2, "rate": None, "mix": MIX},
    )
    liar = {"lie": "drop_save", "inner": "memory", "at": at, "seed": seed}
    options = [word for key, value in liar.items() for word in ("--target-option", f"{key}={value}")]
    target = ("--target", "stressd.targets.faults:Liar", *options, "--seed", str(seed))
    with Daemon(tmp_path, scenario, *target) as daemon:
        deadline_s = time.monotonic() + WITHIN_S
        while daemon.metric("stressd_operations_total", op="save") < SAVES:
            assert time.monotonic() < deadline_s, daemon.stderr
            time.sleep(0.2)
        code, report = daemon.stop(), daemon.report()
    told = json.loads((daemon.state / "store" / "told").read_text())
    print(
        f"seed {seed}: lost in call {told['call']} of some {2 * SAVES}, {report['operations']['save']['count']} saves"
    )
    assert told["call"] >= at
    found = {kind: count for kind, count in report["verification"]["violations"].items() if count}
    assert found == {"lost": 1}
    assert (code, report["verdict"]) == (3, "violated")
    assert criterion(report, "data_integrity")["verdict"] == "fail"
    (specimen,) = report["verification"]["specimens"]
    assert json.loads((tmp_path / specimen).read_text())["group"] == told["group"]
