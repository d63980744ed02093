import json
import os

import pandas as pd
import pytest

from stressd.targets.protocol import Guarantees
from stressd.workload import specimen
from stressd.workload.judge import Judge
from stressd.workload.specimen import write_specimen


@pytest.fixture
def write(ledger, content, tmp_path, run_seed):
    def write(frames, kind="corrupt", folder=str(tmp_path / "specimens"), recent=()):
        ledger.intent(1, 3, 33)
        ledger.ack(1, 3)
        judge = Judge(ledger, content, Guarantees())
        note = judge.before(1)
        judged = judge.after(1, note, frames)
        assert judged.kind == kind or judged.suspect
        return write_specimen(
            folder,
            5,
            key=1,
            note=note,
            judged=judged._replace(kind=kind),
            frames=frames,
            content=content,
            ledger=ledger,
            seed=run_seed,
            recent=recent,
        )

    return write


def damaged(content):
    frames = content.frames(1, 3).frames
    name = content.names[0]
    frames[name].iloc[2, 0] += 1
    return frames


def test_a_specimen_tells_what_was_read_and_what_should_have_been(write, content, run_seed):
    name, frames = content.names[0], damaged(content)
    path = write(frames, recent=[("save", 3), ("read", 3)])
    assert os.path.basename(path) == "corrupt-5.json"
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    assert (told["kind"], told["key"], told["seed"], told["acknowledged_before"]) == ("corrupt", 1, run_seed, 3)
    assert told["slot_after"]["intent_sum"] == 33
    assert told["operations_before"] == ["('save', 3)", "('read', 3)"]
    pair = next(pair for pair in told["frames"] if pair["name"] == name)
    assert pair["actual_stamps"]["_seq"] == pair["expected_stamps"]["_seq"] == ["3"]
    folder = os.path.dirname(path)
    actual = pd.read_parquet(os.path.join(folder, pair["actual_file"]))
    expected = pd.read_parquet(os.path.join(folder, pair["expected_file"]))
    assert actual.iloc[2, 0] == expected.iloc[2, 0] + 1


def test_a_missing_answer_and_a_broken_frame_leave_a_specimen_too(write, content):
    assert write(None, kind="lost") is not None
    frames = content.frames(1, 3).frames
    name = content.names[0]
    frames[name] = pd.concat([frames[name], frames[name]], axis=1)  # no column twice in Parquet
    path = write(frames, kind="schema")
    assert os.path.exists(os.path.join(os.path.dirname(path), f"schema-5-{name}-actual.csv"))
    frames[name] = "no frame"
    assert write(frames, kind="schema") is not None


def test_specimens_are_bounded(write, content, monkeypatch):
    monkeypatch.setattr(specimen, "ROWS_MOST", 7)
    path = write(damaged(content), recent=range(10_000))
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    assert told["operations_before"] == [str(i) for i in range(9_800, 10_000)]
    for pair in told["frames"]:
        assert len(pd.read_parquet(os.path.join(os.path.dirname(path), pair["actual_file"]))) == 7


def test_where_nothing_can_be_written_nothing_is_raised(write, content, tmp_path):
    (tmp_path / "file").write_text("")
    assert write(damaged(content), folder=str(tmp_path / "file" / "below")) is None
