from types import SimpleNamespace

import pytest

from stressd.metrics import FAULTS
from stressd.node.injecting import means_for, wants_disk
from stressd.scenario import Scenario
from stressd.stats.table import CONTROL_CELLS
from stressd.targets.protocol import Abilities

POOL = {"name": "main", "mix": {"save": 1, "read": 1}}
EMBEDDED = Abilities(scratch_option="path")


def scenario(kinds=FAULTS, **changes):
    return Scenario(**{"name": "a", "pools": [POOL], "faults": [{"kind": kind} for kind in kinds]} | changes)


def means(*, disk=None, one_process=False, abilities=EMBEDDED, **changes):
    founded = SimpleNamespace(
        scenario=scenario(**changes),
        record=SimpleNamespace(seed=1, one_process=one_process, target="my:Store"),
        abilities=abilities,
    )
    table = SimpleNamespace(control=memoryview(bytearray(8 * CONTROL_CELLS)).cast("Q"))
    return means_for(founded, None, table, disk)


class Disk:
    fill = empty = set_read_only = None


def test_with_a_disk_everything_is_possible():
    found = means(disk=Disk())
    assert found.strikes.keys() == set(FAULTS)
    assert found.left_out == {}


def test_only_what_is_asked_for_is_prepared_and_told_of():
    found = means(kinds=("pause", "read_only"))
    assert list(found.strikes) == ["pause"]
    assert list(found.left_out) == ["read_only"]


@pytest.mark.parametrize(
    ("changes", "kinds", "why"),
    [
        ({}, {"disk_full", "read_only"}, "it takes --allow-host-faults"),
        ({"abilities": Abilities()}, {"disk_full", "read_only"}, "target my:Store keeps its files elsewhere, or none"),
        (
            {"target": {"name": "embedded", "options": {"path": "elsewhere"}}},
            {"disk_full", "read_only"},
            "target my:Store keeps its files elsewhere, or none",
        ),
        ({"disk": Disk(), "one_process": True}, {"worker_kill"}, "would be lost with it"),
        (
            {"disk": Disk(), "pools": [{"name": "main", "mix": {"generate": 1}}]},
            {"file_limit", "disk_full", "read_only"},
            "saves nothing",
        ),
    ],
    ids=["no leave", "no files", "files elsewhere", "one process", "nothing saved"],
)
def test_what_is_impossible_is_left_out_with_its_reason(changes, kinds, why):
    found = means(**changes)
    assert found.left_out.keys() == kinds
    assert found.strikes.keys() == set(FAULTS) - kinds
    assert all(why in told for told in found.left_out.values())


def test_a_disk_is_wanted_for_its_faults_and_a_store_in_the_state_folder_alone():
    assert wants_disk(scenario(kinds=["read_only"]), EMBEDDED)
    assert not wants_disk(scenario(kinds=["file_limit"]), EMBEDDED)
    assert not wants_disk(scenario(kinds=["disk_full"]), Abilities())
    elsewhere = {"name": "embedded", "options": {"path": "elsewhere"}}
    assert not wants_disk(scenario(kinds=["disk_full"], target=elsewhere), EMBEDDED)
