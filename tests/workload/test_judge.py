"""Every lie has its name, and nothing that loses nothing is called a lie."""

import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stressd import metrics, scenario
from stressd.targets.protocol import Guarantees
from stressd.workload import inspection
from stressd.workload.frames import STAMPS, MovieContent, RandomContent
from stressd.workload.inspection import Inspector
from stressd.workload.judge import RIGHT, Judge
from stressd.workload.ledger import Ledger, Outcome
from stressd.workload.scribble import SENTINEL_INT, holds_sentinel, scribble

KEY = 1
SAVED = 6
LATEST = Guarantees()
LOOSE = Guarantees(atomic_groups=False)


class Bench:
    """A ledger in which saves 1 to 6 of a key are acknowledged, a judge, and a store that says what it is told to."""

    def __init__(self, ledger, content, guarantees=LATEST):
        self.ledger, self.content = ledger, content
        self.judge = Judge(ledger, content, guarantees, owned=[KEY])
        self.answers = []
        self.pauses = []
        for seq in range(1, SAVED + 1):
            self.begin(seq)
            ledger.ack(KEY, seq)

    def begin(self, seq):
        self.ledger.intent(KEY, seq, self.content.frames(KEY, seq).total)

    def frames(self, seq, key=KEY):
        return self.content.frames(key, seq).frames

    def read(self, frames, full=True):
        """Judge a read that returned the frames; re-reads return `answers` in turn, the last one for ever."""
        note = self.judge.before(KEY)
        judged = self.judge.after(KEY, note, frames, full)
        if judged.suspect:
            judged = self.judge.confirm(KEY, note, judged, self.reread, self.pauses.append)
            assert not judged.suspect
        assert judged.kind is None or judged.kind in metrics.VIOLATIONS
        return judged

    def reread(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def bench(ledger, content):
    return Bench(ledger, content)


def set_cell(frame, row, column, change):
    values = frame[column].to_numpy(copy=True)
    values[row] = change(values[row])
    frame[column] = values


def flipped_bit(value):
    if isinstance(value, np.bool_):
        return not value
    bits = np.array([value]).view(np.int64)
    return (bits ^ (1 << 40)).view(np.array([value]).dtype)[0]


# --- Right answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [True, False])
def test_the_acknowledged_save_is_right_and_measured(bench, full):
    made = bench.content.frames(KEY, SAVED)
    judged = bench.read(made.frames, full)
    assert judged[:6] == (None, False, SAVED, SAVED, made.rows, made.payload_bytes)
    cells = sum(frame.shape[0] * (frame.shape[1] - len(STAMPS)) for frame in made.frames.values())
    assert judged.cells == (cells if full else 0)
    assert bench.ledger.newest_seen(KEY) == SAVED


def test_a_save_in_flight_may_show_and_a_key_never_saved_may_be_missing(bench):
    bench.begin(7)
    assert bench.read(bench.frames(6)).kind is None
    assert bench.read(bench.frames(7)).kind is None
    note = bench.judge.before(KEY + 1)
    assert bench.judge.after(KEY + 1, note, None) == RIGHT


NULLABLE = {"int64": "Int64", "float64": "Float64", "bool": "boolean"}
REPRESENTATIONS = {
    "other column order": lambda frame: frame[frame.columns[::-1]],
    "other index": lambda frame: frame.set_index(np.arange(len(frame))[::-1]),
    "arrow": lambda frame: pa.Table.from_pandas(frame).to_pandas(types_mapper=pd.ArrowDtype),
    "nullable": lambda frame: frame.astype(
        {name: NULLABLE[str(dtype)] for name, dtype in frame.dtypes.items() if str(dtype) in NULLABLE}
    ),
    "objects": lambda frame: frame.astype(object),
    "narrow stamps": lambda frame: frame.astype({"_key": "int8", "_writer": "uint8", "_seq": "int32"}),
    "categories": lambda frame: frame.astype(dict.fromkeys([frame.columns[0], "_seq"], "category")),
    "column labels as objects": lambda frame: frame.set_axis(pd.Index(list(frame.columns), dtype=object), axis=1),
    "bool as 0 and 1": lambda frame: frame.astype(
        {name: "int8" for name, dtype in frame.dtypes.items() if dtype.kind == "b"}
    ),
}


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("change", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
def test_a_representation_that_loses_nothing_is_right(bench, change, full):
    for _ in range(2):  # once met, and once remembered
        frames = {name: change(frame) for name, frame in bench.frames(SAVED).items()}
        judged = bench.read(frames, full)
        assert (judged.kind, judged.detail) == (None, "")


def test_without_content_only_the_ledger_is_read(ledger):
    judge = Judge(ledger, None, LATEST)
    assert judge.after(KEY, judge.before(KEY), {}) == RIGHT
    assert judge.after(KEY, judge.before(KEY), None) == RIGHT


# --- Content lies ----------------------------------------------------------------------------------


def test_a_flipped_bit_in_any_column_is_corrupt(bench):
    for name, frame in bench.frames(SAVED).items():
        for column in frame.columns:
            if frame[column].dtype not in (np.int64, np.float64, np.bool_):
                continue
            frames = bench.frames(SAVED)
            set_cell(frames[name], 3, column, flipped_bit)
            judged = bench.read(frames)
            assert judged.kind == "corrupt", (name, column, judged)
            assert f"1 of {frame.size} cells" in judged.detail
            assert f"{column}[3]" in judged.detail


@pytest.mark.parametrize("change", [str.upper, lambda text: text + "\0", lambda text: None, lambda text: ""])
def test_a_changed_text_or_list_is_corrupt(ledger, movie_content, change):
    bench = Bench(ledger, movie_content)
    frames = bench.frames(SAVED)
    row = next(i for i, title in enumerate(frames["basic"]["title"]) if change(title) != title)
    frames["basic"]["title"] = [change(t) if i == row else t for i, t in enumerate(frames["basic"]["title"])]
    assert bench.read(frames).kind == "corrupt"
    frames = bench.frames(SAVED)
    frames["basic"]["genre_ids"] = [[*g, 1] if i == row else g for i, g in enumerate(frames["basic"]["genre_ids"])]
    assert bench.read(frames).kind == "corrupt"


def test_one_flipped_bit_in_a_single_row_is_still_corrupt(ledger, tables, run_seed):
    contents = (
        MovieContent(tables, scenario.Content(rows=1), run_seed),
        RandomContent(scenario.Content(kind="random", rows=1, columns=1, names=1), run_seed),
    )
    for content in contents:
        bench = Bench(ledger, content)
        for name, frame in bench.frames(SAVED).items():
            if len(frame) > 1:
                continue
            for column in frame.select_dtypes(["int64", "float64", "bool"]):
                frames = bench.frames(SAVED)
                set_cell(frames[name], 0, column, flipped_bit)
                assert bench.read(frames).kind == "corrupt", (name, column)


def test_reordered_rows_are_corrupt(bench):
    frames = {name: frame.iloc[::-1] for name, frame in bench.frames(SAVED).items()}
    assert bench.read(frames).kind == "corrupt"
    frames = bench.frames(SAVED)
    name = bench.content.names[-1]
    order = [1, 0, *range(2, len(frames[name]))]
    frames[name] = frames[name].iloc[order]
    assert bench.read(frames).kind == "corrupt"


@pytest.mark.parametrize("other", [SAVED - 1, SAVED - 4, SAVED + 1])
@pytest.mark.parametrize("full", [True, False])
def test_rows_of_two_saves_are_torn(bench, other, full):
    bench.begin(SAVED + 1)
    frames, mixed = bench.frames(SAVED), bench.frames(other)
    for name, frame in frames.items():
        half = len(frame) // 2
        frames[name] = pd.concat([frame[:half], mixed[name][half:]], ignore_index=True)
        whole = len(mixed[name]) > half
        break
    assert whole
    judged = bench.read(frames, full)
    assert judged.kind == "torn", judged
    assert f"{bench.content.names[0]}: " in judged.detail


@pytest.mark.parametrize("stamps_of_the_other", [True, False])
def test_columns_of_two_saves_are_torn(ledger, tables, random_content, run_seed, stamps_of_the_other):
    same_rows = MovieContent(tables, scenario.Content(rows=30, names=("basic", "text")), run_seed)
    for content in (same_rows, random_content):
        bench = Bench(ledger, content)
        frames, other = bench.frames(SAVED), bench.frames(SAVED - 1)
        name = content.names[-1]
        for column in frames[name].columns[2:5]:
            frames[name][column] = other[name][column]
        if stamps_of_the_other:
            for stamp in STAMPS:
                frames[name][stamp] = other[name][stamp]
        assert bench.read(frames).kind == "torn"


def test_payload_rows_of_another_save_under_right_stamps_are_torn(ledger, random_content):
    bench = Bench(ledger, random_content)
    frames, other = bench.frames(SAVED), bench.frames(SAVED - 1)
    name = random_content.names[0]
    payload = [column for column in frames[name].columns if column not in STAMPS]
    frames[name].loc[10:, payload] = other[name].loc[10:, payload]
    assert bench.read(frames).kind == "torn"


SCHEMA_LIES = {
    "a column is gone": lambda frame: frame.iloc[:, 1:],
    "a stamp is gone": lambda frame: frame.drop(columns="_sum"),
    "a column too many": lambda frame: frame.assign(more=1),
    "a column twice": lambda frame: pd.concat([frame, frame[["_seq"]]], axis=1),
    "a column by another name": lambda frame: frame.rename(columns={frame.columns[1]: "renamed"}),
    "numbers as text": lambda frame: frame.astype({frame.columns[0]: str}),
    "int as float": lambda frame: frame.astype({frame.columns[0]: float}),
    "a stamp as float": lambda frame: frame.astype({"_seq": float}),
    "rows are lost": lambda frame: frame.iloc[:-1],
    "rows twice": lambda frame: pd.concat([frame, frame], ignore_index=True),
    "no rows": lambda frame: frame.iloc[:0],
    "no frame": lambda frame: None,
    "a dict": lambda frame: frame.to_dict("list"),
}


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("lie", SCHEMA_LIES.values(), ids=SCHEMA_LIES)
def test_changed_columns_kinds_and_rows_are_schema(bench, lie, full):
    for name in (bench.content.names[0], bench.content.names[-1]):
        frames = bench.frames(SAVED)
        frames[name] = lie(frames[name])
        judged = bench.read(frames, full)
        assert judged.kind == "schema", judged
        assert judged.detail.startswith(name)


def test_another_callers_edit_is_aliased_and_can_be_undone(bench):
    shared = bench.frames(SAVED)
    for turn in range(20):
        mark = scribble(shared, random.Random(turn))
        assert not mark.protected
        assert bench.read(shared).kind == "aliased"
        mark.restore()
        assert bench.read(shared).kind is None


def test_a_frame_that_its_other_owner_edits_meanwhile_is_not_called_corrupt(bench, monkeypatch):
    shared = bench.frames(SAVED)
    name = bench.content.names[0]
    looked = []

    def edited_after_the_look(numbers):
        if not looked:
            scribble({name: shared[name]}, random.Random(1))
        looked.append(True)
        return holds_sentinel(numbers)

    monkeypatch.setattr(inspection, "holds_sentinel", edited_after_the_look)
    finding = Inspector(bench.content).examine(shared[name], name, KEY, [SAVED])
    assert (finding.kind, finding.seq) == (None, SAVED), "it was right when it was looked at"
    assert bench.read(shared).kind == "aliased"


def test_a_cell_that_refuses_the_edit_is_protected():
    class Sealed(pd.DataFrame):
        iat = property(lambda self: SealedCells())

    class SealedCells:
        def __getitem__(self, place):
            return 5

        def __setitem__(self, place, value):
            raise ValueError("assignment destination is read-only")

    mark = scribble({"a": Sealed({"id": [5, 5]})}, random.Random(1))
    assert mark.protected
    mark.restore()


def test_nothing_to_scribble_on_is_said():
    no_payload = {"a": pd.DataFrame({"title": ["x"], "_key": [1]}), "b": pd.DataFrame({"id": np.arange(0)})}
    assert scribble(no_payload, random.Random(1)) is None


def test_content_never_has_the_reserved_value(content):
    for frame in content.frames(0, 1).frames.values():
        assert not (frame.select_dtypes("int64") == SENTINEL_INT).any().any()


# --- Lies about order ------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [True, False])
def test_a_frame_of_another_key_is_a_phantom(bench, full):
    judged = bench.read(bench.frames(SAVED, key=2), full)
    assert judged.kind == "phantom"
    assert "of key 2" in judged.detail


def test_a_save_that_was_never_begun_is_a_phantom(bench):
    assert bench.read(bench.frames(SAVED + 1)).kind == "phantom"


def test_a_frame_of_a_key_that_nobody_saved_is_a_phantom(bench):
    note = bench.judge.before(0)
    assert bench.judge.after(0, note, bench.frames(1, key=0)).kind == "phantom"
    damaged = bench.frames(1, key=0)
    name = bench.content.names[0]
    set_cell(damaged[name], 0, "_sum", flipped_bit)
    assert bench.judge.after(0, note, damaged).kind == "corrupt"


@pytest.mark.parametrize("full", [True, False])
def test_a_save_that_failed_is_a_phantom_when_it_shows(bench, full):
    bench.begin(7)
    bench.ledger.fail(KEY, 7)
    assert bench.read(bench.frames(7), full).kind == "phantom"
    bench.begin(8)
    bench.ledger.ack(KEY, 8)
    assert bench.read(bench.frames(7), full).kind == "phantom"
    assert bench.read(bench.frames(8), full).kind is None


@pytest.mark.parametrize("full", [True, False])
def test_a_save_that_was_seen_before_it_failed_was_a_phantom_then_and_is_told_once(bench, full):
    bench.begin(7)
    assert bench.read(bench.frames(7), full).kind is None, "it may yet be acknowledged"
    bench.ledger.fail(KEY, 7)
    judged = bench.read(bench.frames(6), full)
    assert judged.kind == "phantom"
    assert "save 7 had failed" in judged.detail
    assert bench.read(bench.frames(6), full).kind is None
    bench.begin(8)
    bench.ledger.ack(KEY, 8)
    bench.answers = [bench.frames(8)]
    assert bench.read(bench.frames(6), full).kind == "stale", "held to the next one again"


def test_half_a_group_is_fractured(bench):
    bench.begin(7)
    names = bench.content.names
    frames = {**bench.frames(6), names[0]: bench.frames(7)[names[0]]}
    judged = bench.read(frames)
    assert judged.kind == "fractured"
    assert (judged.seq, judged.newest) == (6, 7)
    frames = bench.frames(6)
    del frames[names[-1]]
    assert bench.read(frames).kind == "fractured"


def test_an_old_version_is_stale_when_the_new_one_was_seen(bench):
    bench.answers = [bench.frames(SAVED)]
    assert bench.read(bench.frames(5)).kind == "stale"
    assert bench.ledger.excused(KEY) == 0
    bench.answers = [bench.frames(4), bench.frames(SAVED)]
    assert bench.read(bench.frames(4)).kind == "stale"


def test_a_version_that_was_seen_once_and_is_gone_for_good_is_stale(bench):
    assert bench.read(bench.frames(SAVED)).kind is None
    bench.answers = [bench.frames(5)]
    assert bench.read(bench.frames(5)).kind == "stale"


@pytest.mark.parametrize("shown", [5, None])
def test_an_acknowledged_save_that_never_shows_is_lost_and_reported_once(bench, shown):
    answer = None if shown is None else bench.frames(shown)
    bench.answers = [answer]
    assert bench.read(answer).kind == "lost"
    assert sum(bench.pauses) < 1
    assert bench.read(answer).kind is None
    bench.begin(7)
    bench.ledger.ack(KEY, 7)
    bench.answers = [bench.frames(7)]
    assert bench.read(answer).kind == "stale"


def test_nothing_is_called_lost_without_an_answer(bench):
    bench.answers = [OSError("down")]
    assert bench.read(bench.frames(5)).kind == "stale"
    bench.answers = [OSError("down"), OSError("down"), bench.frames(5)]
    assert bench.read(bench.frames(5)).kind == "lost"


def test_a_loss_that_the_owner_reported_meanwhile_is_not_reported_again(bench):
    note = bench.judge.before(KEY)
    judged = bench.judge.after(KEY, note, bench.frames(5))
    assert judged.suspect
    bench.ledger.excuse(KEY, SAVED)
    bench.begin(7)
    bench.ledger.ack(KEY, 7)
    assert bench.judge.confirm(KEY, note, judged, lambda: bench.frames(7), bench.pauses.append).kind is None


def test_a_re_read_that_is_wrong_itself_proves_nothing(bench):
    wrong = bench.frames(SAVED)
    wrong[bench.content.names[0]] = wrong[bench.content.names[0]].iloc[::-1]
    bench.answers = [wrong]
    assert bench.read(bench.frames(5)).kind == "lost"


def test_back_behind_what_was_seen_in_flight_is_non_monotonic(bench):
    bench.begin(7)
    assert bench.read(bench.frames(7)).kind is None
    assert bench.read(bench.frames(6)).kind == "non_monotonic"


def test_a_read_that_began_before_the_newer_one_was_seen_is_right(bench):
    bench.begin(7)
    note = bench.judge.before(KEY)
    assert bench.read(bench.frames(7)).kind is None
    assert bench.judge.after(KEY, note, bench.frames(6)).kind is None


def test_a_wrong_answer_does_not_raise_what_readers_are_held_to(bench):
    bench.read(bench.frames(SAVED + 3))
    bench.begin(7)
    bench.ledger.fail(KEY, 7)
    bench.read(bench.frames(7))
    assert bench.ledger.newest_seen(KEY) == 0


def test_commit_numbers_of_a_key_grow(bench):
    judge, ledger = bench.judge, bench.ledger
    bench.begin(7)
    assert judge.acknowledged(KEY, 7, None) == RIGHT
    assert judge.acknowledged(KEY, 7, 0) == RIGHT, "there is no number yet"
    ledger.ack(KEY, 7, 5)
    bench.begin(8)
    assert judge.acknowledged(KEY, 8, 6) == RIGHT
    for wrong in (5, 4, 0, -1, 2**64, "6", 6.0):
        judged = judge.acknowledged(KEY, 8, wrong)
        assert judged.kind == "non_monotonic", wrong
        assert "the one before it as commit 5" in judged.detail
    assert judge.acknowledged(KEY, 8, None) == RIGHT, "a store need not have any"
    assert judge.acknowledged(KEY + 1, 1, -1).kind == "non_monotonic"


# --- Weaker claims ---------------------------------------------------------------------------------


def test_without_atomic_groups_each_name_is_judged_by_itself(ledger, content):
    bench = Bench(ledger, content, LOOSE)
    bench.begin(7)
    names = content.names
    mixed = {**bench.frames(6), names[0]: bench.frames(7)[names[0]]}
    judged = bench.read(mixed)
    assert (judged.kind, judged.seq, judged.newest) == (None, 6, 7)
    assert judged.rows == sum(len(frame) for frame in mixed.values())
    bench.answers = [bench.frames(6)]
    assert bench.read({**mixed, names[1]: bench.frames(5)[names[1]]}).kind == "stale"
    assert bench.read({**mixed, names[1]: bench.frames(8)[names[1]]}).kind == "phantom"


def test_a_session_is_held_to_its_own_saves_alone(ledger, content):
    bench = Bench(ledger, content, Guarantees(reads="session"))
    other = Judge(ledger, content, Guarantees(reads="session"))
    bench.answers = [bench.frames(SAVED)]
    assert bench.read(bench.frames(3)).kind == "stale"
    assert other.after(KEY, other.before(KEY), bench.frames(3)) == bench.judge._measured(
        KEY, dict.fromkeys(content.names, 3)
    )
    replacement = Judge(ledger, content, Guarantees(reads="session"), owned=[KEY])
    assert replacement.before(KEY) == (0, 0)
    bench.begin(7)
    ledger.ack(KEY, 7)
    assert replacement.before(KEY) == (7, 0)


def test_a_bounded_reader_is_held_to_what_was_acknowledged_that_long_ago(ledger, content):
    now = [0]
    judge = Judge(ledger, content, Guarantees(reads="bounded", bound_s=5), clock_ns=lambda: now[0])
    floors = []
    for second in range(12):
        if second in (2, 4):
            ledger.intent(KEY, second, 0)
            ledger.ack(KEY, second)
        now[0] = second * 10**9
        floors.append(judge.before(KEY)[0])
    assert floors == [0] * 7 + [2] * 2 + [4] * 3
    for seq in range(5, 5000):
        ledger.intent(KEY, seq, 0)
        ledger.ack(KEY, seq)
        assert judge.before(KEY)[0] <= seq
    assert len(judge._remembered[KEY]) <= 32


@pytest.mark.parametrize("lie", ["corrupt", "phantom", "schema"])
def test_an_eventual_store_may_be_old_but_not_wrong(ledger, content, lie):
    bench = Bench(ledger, content, Guarantees(reads="eventual"))
    assert bench.read(bench.frames(SAVED)).kind is None
    assert bench.read(bench.frames(1)).kind is None
    assert bench.read(None).kind is None
    frames = bench.frames(SAVED + 1 if lie == "phantom" else SAVED)
    name = content.names[0]
    if lie == "corrupt":
        set_cell(frames[name], 0, frames[name].columns[0], lambda value: value + 1)
    if lie == "schema":
        frames[name] = frames[name].iloc[1:]
    assert bench.read(frames).kind == lie


# --- What became of it -----------------------------------------------------------------------------


def test_an_unknown_save_is_resolved_by_what_is_there(bench):
    bench.begin(7)
    bench.answers = [bench.frames(7)]
    assert bench.judge.resolve(KEY, bench.reread).outcome is Outcome.ACKED
    assert bench.ledger.floor(KEY) == 7
    bench.begin(8)
    bench.answers = [bench.frames(7)]
    resolution = bench.judge.resolve(KEY, bench.reread)
    assert (resolution.outcome, resolution.judgement.kind) == (Outcome.FAILED, None)
    assert bench.read(bench.frames(8)).kind == "phantom"  # flipping afterwards


def test_the_first_save_of_a_key_is_resolved_too(ledger, content):
    judge = Judge(ledger, content, LATEST)
    ledger.intent(0, 1, content.frames(0, 1).total)
    assert judge.resolve(0, lambda: None).outcome is Outcome.FAILED
    ledger.intent(0, 2, content.frames(0, 2).total)
    assert judge.resolve(0, lambda: content.frames(0, 2).frames).outcome is Outcome.ACKED


def test_after_a_crash_the_last_acknowledged_value_must_be_there(bench):
    bench.answers = [bench.frames(SAVED)]
    assert bench.judge.resolve(KEY, bench.reread).judgement.kind is None
    bench.begin(7)
    bench.answers = [bench.frames(4)]
    bench.ledger.see(KEY, SAVED)
    resolution = bench.judge.resolve(KEY, bench.reread, bench.pauses.append)
    assert (resolution.outcome, resolution.judgement.kind) == (Outcome.UNKNOWN, "stale")


def test_a_save_that_was_seen_and_is_gone_after_the_crash_is_reported_once(bench):
    bench.begin(7)
    assert bench.read(bench.frames(7)).kind is None
    bench.answers = [bench.frames(6)]
    resolution = bench.judge.resolve(KEY, bench.reread)
    assert (resolution.outcome, resolution.judgement.kind) == (Outcome.FAILED, "non_monotonic")
    assert bench.read(bench.frames(6)).kind is None


def test_a_value_that_is_not_the_promised_one_is_corrupt(bench):
    bench.ledger.intent(KEY, 7, 12345)
    bench.answers = [bench.frames(7)]
    resolution = bench.judge.resolve(KEY, bench.reread)
    assert (resolution.outcome, resolution.judgement.kind) == (Outcome.UNKNOWN, "corrupt")


def test_half_of_an_unknown_save_is_fractured_or_where_groups_are_loose_undecided(ledger, content):
    for guarantees, kind in ((LATEST, "fractured"), (LOOSE, None)):
        bench = Bench(ledger, content, guarantees)
        bench.begin(7)
        bench.answers = [{**bench.frames(6), content.names[0]: bench.frames(7)[content.names[0]]}]
        resolution = bench.judge.resolve(KEY, bench.reread)
        assert (resolution.outcome, resolution.judgement.kind) == (Outcome.UNKNOWN, kind)
        assert ledger.outcome(KEY, 7) is Outcome.UNKNOWN


def test_a_loose_group_that_is_not_all_there_does_not_prove_that_nothing_landed(ledger, content):
    judge = Judge(ledger, content, LOOSE)
    ledger.intent(0, 1, content.frames(0, 1).total)
    assert judge.resolve(0, lambda: None).outcome is Outcome.UNKNOWN


def test_what_may_still_land_is_never_called_failed(ledger, content):
    bench = Bench(ledger, content, Guarantees(late_writes=True))
    bench.begin(7)
    bench.answers = [bench.frames(6)]
    assert bench.judge.resolve(KEY, bench.reread).outcome is Outcome.UNKNOWN
    assert bench.read(bench.frames(7)).kind is None


def test_a_ledger_of_several_writers_is_refused(tmp_path, content):
    several = Ledger.create(str(tmp_path / "several"), 1, 2, run_id="r", boot_id="b")
    with pytest.raises(ValueError, match="one writer"):
        Judge(several, content, LATEST)
