"""`verify`, without a command line: a store against what a ledger says had been acknowledged."""

import glob
import json
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest
from run_records import run_record

from featurestore.movies import generate_movies
from stressd.errors import DaemonError, TargetError, UsageError
from stressd.node.state import StateFolder, boot_id
from stressd.node.verify import check_everything
from stressd.scenario import Mix, Pool, Scenario
from stressd.targets.embedded import EmbeddedSession, EmbeddedTarget
from stressd.targets.protocol import group_name
from stressd.workload.frames import RandomContent
from stressd.workload.ledger import Ledger, Outcome
from stressd.workload.movie_tables import build_base

SCENARIO = Scenario(
    name="small",
    content={"kind": "random", "names": 2, "rows": [40, 50], "columns": 3},
    target={"name": "embedded", "options": {"durability": "relaxed"}},
    pools=[Pool(name="main", threads=2, mix=Mix(save=1, read=1))],
)
SEED, KEYS, PREFIX = 7, 4, "s1-"
CONTENT = RandomContent(SCENARIO.content, SEED)


class Left:
    """A state folder as a run of two lanes left it."""

    def __init__(self, path):
        self.state = StateFolder.open(str(path))
        self.ledger = Ledger.create(self.state.at("ledger"), KEYS, run_id="run", boot_id=boot_id())
        build_base(generate_movies(20, SEED), date(2026, 1, 1), self.state.at("content"))
        self.target = EmbeddedTarget(self.state.at("store"), durability="relaxed")
        self.target.setup()
        self.session = self.target.open()
        self.record = run_record(
            prefix=PREFIX,
            seed=SEED,
            scenario=SCENARIO.model_dump(mode="json", by_alias=True),
            target_options=SCENARIO.target.options,
            boot_id=boot_id(),
        )

    def intend(self, key, seq):
        self.ledger.intent(key, seq, CONTENT.frames(key, seq).total)

    def put(self, key, seq):
        self.session.save(group_name(PREFIX, key), CONTENT.frames(key, seq).frames)

    def save(self, key, seq):
        self.intend(key, seq)
        self.put(key, seq)
        self.ledger.ack(key, seq)

    def check(self, *, resolve=False, **changes):
        return check_everything(self.state, replace(self.record, **changes), resolve=resolve)

    def close(self):
        self.target.teardown()
        self.ledger.close()
        self.state.close()


@pytest.fixture
def left(tmp_path):
    made = Left(tmp_path / "state")
    for key in range(KEYS - 1):
        for seq in (1, 2):
            made.save(key, seq)
    yield made
    made.close()


def test_what_was_acknowledged_is_there(left):
    checked = left.check()
    assert (checked.keys, checked.right, checked.never_saved) == (4, 3, 1)
    assert not checked.violations
    assert checked.order_judged
    assert list(checked.lines()) == [
        "4 keys: 3 right, 1 never saved, 0 wrong",
        "the newest acknowledged save: there in 3 keys, not there in 0",
    ]


def test_an_older_version_than_was_acknowledged_is_lost_or_stale(left):
    left.put(0, 1)  # nobody ever saw the second
    left.ledger.see(1, 2)
    left.put(1, 1)  # somebody did
    checked = left.check()
    assert checked.violations == {"lost": 1, "stale": 1}
    assert any("s1-00000: lost" in line for line in checked.lines())
    assert "the newest acknowledged save: there in 1 keys, not there in 2" in list(checked.lines())


def test_what_is_wrong_leaves_a_specimen_of_each_kind(left):
    left.put(0, 1)
    left.put(1, 1)  # both lost: one specimen is enough
    left.session.save(group_name(PREFIX, 2), CONTENT.frames(1, 2).frames)
    checked = left.check()
    assert checked.violations == {"lost": 2, "phantom": 1}
    folder = left.state.path / "specimens"
    told = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert set(told) == {"lost-verify.json", "phantom-verify.json"}
    lost = told["lost-verify.json"]
    assert (lost["group"], lost["seed"], lost["expected_seq"]) == ("s1-00000", SEED, 2)
    for pair in lost["frames"]:
        assert pd.read_parquet(folder / pair["expected_file"]).equals(CONTENT.frames(0, 2).frames[pair["name"]])
        assert pd.read_parquet(folder / pair["actual_file"]).equals(CONTENT.frames(0, 1).frames[pair["name"]])
    assert sum("specimen: " in line for line in checked.lines()) == 2


def test_a_group_that_is_gone_is_lost(left):
    left.target.drop(group_name(PREFIX, 0))
    assert left.check().violations == {"lost": 1}


def test_what_was_never_meant_to_be_saved_is_found(left):
    left.put(0, 3)
    left.session.save(group_name(PREFIX, 1), CONTENT.frames(2, 2).frames)
    assert left.check().violations == {"phantom": 2}


def test_a_damaged_file_is_found_and_the_others_are_checked_all_the_same(left):
    path = glob.glob(f"{left.state.at('store')}/s1-00000/**/*.parquet", recursive=True)[-1]
    with open(path, "r+b") as file:
        file.seek(300)
        was = file.read(1)[0]
        file.seek(300)
        file.write(bytes([was ^ 1]))
    checked = left.check()
    assert sum(checked.violations.values()) <= 1  # an older version's file may be the one that was hit
    assert checked.right + sum(checked.violations.values()) == 3
    for path in glob.glob(f"{left.state.at('store')}/s1-00000/**/*.parquet", recursive=True):
        with open(path, "r+b") as file:
            file.truncate(200)
    checked = left.check()
    assert checked.violations == {"corrupt": 1}
    assert checked.right == 2


@pytest.mark.parametrize(("there", "how"), [(True, "there"), (False, "not there")])
@pytest.mark.parametrize("resolve", [True, False])
def test_a_save_that_was_under_way_may_be_there_or_not(left, there, how, resolve):
    left.intend(0, 3)
    if there:
        left.put(0, 3)
    checked = left.check(resolve=resolve)
    assert not checked.violations
    assert checked.settled == {how: 1}
    assert f"  s1-00000: save 3: {how}" in list(checked.lines())
    assert checked.there == 3
    settled = Outcome.ACKED if there else Outcome.FAILED
    assert left.ledger.outcome(0, 3) is (settled if resolve else Outcome.IN_FLIGHT)


@pytest.mark.parametrize("resolve", [True, False])
def test_how_a_save_under_way_ended_is_not_said_of_a_damaged_one(left, resolve):
    left.intend(0, 3)
    left.session.save(group_name(PREFIX, 0), CONTENT.frames(2, 2).frames)
    checked = left.check(resolve=resolve)
    assert checked.violations == {"phantom": 1}
    assert checked.settled == {"still unknown": 1}


def test_a_first_save_that_was_under_way_and_is_not_there_is_no_violation(left):
    left.intend(3, 1)
    checked = left.check(resolve=True)
    assert not checked.violations
    assert (checked.right, checked.never_saved) == (3, 1)


def test_after_another_boot_content_is_checked_but_order_is_not(left):
    left.put(0, 1)
    left.session.save(group_name(PREFIX, 1), CONTENT.frames(2, 2).frames)
    checked = left.check(boot_id="another boot")
    assert checked.violations == {"phantom": 1}
    assert not checked.order_judged
    assert any("started anew" in line for line in checked.lines())


@pytest.mark.parametrize("damage", ["missing", "cut", "no ledger at all"])
def test_without_a_good_ledger_nothing_can_be_checked(left, damage):
    path = left.state.path / "ledger"
    text = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(text[:-8] if damage == "cut" else b"something else" * 1000)
    with pytest.raises(UsageError, match="what run run left cannot be checked"):
        left.check()


def test_a_store_in_trouble_is_no_violation(left, monkeypatch):
    def down(session, group, names, *, bypass_cache):
        raise ConnectionError("no route")

    monkeypatch.setattr(EmbeddedSession, "read_detail", down)
    with pytest.raises(DaemonError, match="s1-00000 cannot be read: ConnectionError: no route"):
        left.check()


def test_a_target_without_a_session_is_told(left, monkeypatch):
    def refuse(target):
        raise ConnectionError("no route")

    monkeypatch.setattr(EmbeddedTarget, "open", refuse)
    with pytest.raises(TargetError, match="target embedded: no session: ConnectionError: no route"):
        left.check()


def test_of_very_many_problems_the_first_are_shown(left):
    checked = left.check()
    checked.problems = [f"problem {number}" for number in range(50)]
    assert list(checked.lines())[-1] == "  ... and 30 more"
