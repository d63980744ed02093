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
    def write(frames, kind="corrupt", folder=str(tmp_path / "specimens"), recent=(), lane=5):
        for seq in (1, 2, 3):
            ledger.intent(1, seq, 33)
        ledger.fail(1, 2)
        ledger.ack(1, 3)
        judge = Judge(ledger, content, Guarantees())
        note = judge.before(1)
        judged = judge.after(1, note, frames)
        assert judged.kind == kind or judged.suspect
        return write_specimen(
            folder,
            lane,
            group="t-00001",
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


def damaged(content, row=2):
    frames = content.frames(1, 3).frames
    name = content.names[0]
    frames[name].iloc[row, 0] += 1
    return frames


def told_in(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def test_a_specimen_tells_what_was_read_and_what_should_have_been(write, content, run_seed):
    name, frames = content.names[0], damaged(content)
    column = frames[name].columns[0]
    path = write(frames, recent=[(1, "save", 1, "none", "ok", 7), (2, "read", 1, "store", "violation", 8)])
    assert os.path.basename(path) == "corrupt-5.json"
    told = told_in(path)
    assert (told["kind"], told["group"], told["key"], told["lane"]) == ("corrupt", "t-00001", 1, 5)
    assert (told["seed"], told["run_id"], told["acknowledged_before"], told["expected_seq"]) == (run_seed, "run", 3, 3)
    slot = told["slot_after"]
    assert (slot["intent_sum"], slot["acked_seq"], slot["failed"], slot["unknown"]) == (33, 3, [2], [])
    assert [operation["op"] for operation in told["operations_before"]] == ["save", "read"]
    assert told["operations_before"][1] == dict(
        zip(specimen.OPERATION, (2, "read", 1, "store", "violation", 8), strict=True)
    )
    pair = next(pair for pair in told["frames"] if pair["name"] == name)
    assert pair["differs"] == {column: "from row 2 on"}
    assert pair["actual_stamps"]["_seq"] == pair["expected_stamps"]["_seq"] == ["3"]
    folder = os.path.dirname(path)
    actual = pd.read_parquet(os.path.join(folder, pair["actual_file"]))
    expected = pd.read_parquet(os.path.join(folder, pair["expected_file"]))
    assert actual.iloc[2, 0] == expected.iloc[2, 0] + 1
    assert all(other["differs"] == {} for other in told["frames"] if other["name"] != name)


def test_nulls_texts_and_lists_are_compared_as_what_they_are(write, movie_content, content):
    if content is not movie_content:
        return  # once is enough, and only movies have them
    frames = content.frames(1, 3).frames
    frames["basic"]["title"] = [
        f"{title}!" if row == 4 else title for row, title in enumerate(frames["basic"]["title"])
    ]
    frames["basic"]["genre_ids"] = [
        [*ids, 1] if row > 5 else ids for row, ids in enumerate(frames["basic"]["genre_ids"])
    ]
    told = told_in(write(frames))
    assert next(pair["differs"] for pair in told["frames"] if pair["name"] == "basic") == {
        "title": "from row 4 on",
        "genre_ids": "from row 6 on",
    }


def test_a_missing_answer_and_a_broken_frame_leave_a_specimen_too(write, content):
    assert told_in(write(None, kind="lost"))["frames"][0]["actual_rows"] is None
    frames = content.frames(1, 3).frames
    name = content.names[0]
    frames[name] = pd.concat([frames[name], frames[name]], axis=1)  # no column twice in Parquet
    path = write(frames, kind="schema")
    assert os.path.exists(os.path.join(os.path.dirname(path), f"schema-5-{name}-actual.csv"))
    assert not os.path.exists(os.path.join(os.path.dirname(path), f"schema-5-{name}-actual.parquet"))
    frames[name] = "no frame"
    assert write(frames, kind="schema") is not None


def test_specimens_are_bounded_and_what_differs_is_kept(write, content, monkeypatch):
    monkeypatch.setattr(specimen, "ROWS_MOST", 7)
    monkeypatch.setattr(specimen, "NAMES_MOST", 1)
    path = write(damaged(content, row=15), recent=[(number,) for number in range(10_000)])
    told = told_in(path)
    assert [operation["began_ns"] for operation in told["operations_before"]] == list(range(9_800, 10_000))
    kept = [pair for pair in told["frames"] if pair["actual_file"] is not None]
    assert [pair["name"] for pair in kept] == [content.names[0]]
    actual, expected = (
        pd.read_parquet(os.path.join(os.path.dirname(path), kept[0][which]))
        for which in ("actual_file", "expected_file")
    )
    assert len(actual) == len(expected) == 7
    assert 15 in actual.index
    assert not actual.equals(expected)


def test_wide_frames_are_kept_in_part(write, content, monkeypatch):
    monkeypatch.setattr(specimen, "CELLS_MOST", 40)
    path = write(damaged(content))
    pair = told_in(path)["frames"][0]
    assert pd.read_parquet(os.path.join(os.path.dirname(path), pair["actual_file"])).size <= 40


def test_there_are_so_many_of_a_kind_and_those_of_an_earlier_run_make_room(write, content, ledger, monkeypatch):
    monkeypatch.setattr(specimen, "SPECIMENS_MOST", 2)
    frames = damaged(content)
    paths = [write(frames, lane=lane) for lane in range(3)]
    assert [path is not None for path in paths] == [True, True, False]
    assert write(None, kind="lost") is not None, "another kind"
    ledger.run_id = "the next one"
    again = write(frames, lane=7)
    assert again is not None
    left = os.listdir(os.path.dirname(again))
    assert {name.split(".")[0].split("-")[1] for name in left if name.startswith("corrupt")} == {"7"}
    assert any(name.startswith("lost") for name in left)


def test_where_nothing_can_be_written_nothing_is_raised(write, content, tmp_path):
    (tmp_path / "file").write_text("")
    assert write(damaged(content), folder=str(tmp_path / "file" / "below")) is None
