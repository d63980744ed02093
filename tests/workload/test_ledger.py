import multiprocessing
import os
import signal
import struct

import pytest

from stressd.workload.ledger import HEADER_BYTES, Ledger, Outcome, State, open_or_none

SPAWN = multiprocessing.get_context("spawn")


def test_a_new_ledger_is_empty_and_opens_again(tmp_path):
    path = str(tmp_path / "ledger")
    Ledger.create(path, 5, 2, run_id="run-1", boot_id="boot-1").close()
    opened = Ledger.open(path)
    assert (opened.keys, opened.writers, opened.run_id, opened.boot_id) == (5, 2, "run-1", "boot-1")
    assert {opened.outcome(key, 1, writer) for key in range(5) for writer in range(2)} == {Outcome.NEVER}
    assert os.path.getsize(path) == HEADER_BYTES + 5 * (2 * 64 + 16)
    assert os.stat(path).st_blocks * 512 >= os.path.getsize(path)  # allocated: no SIGBUS on a full disk


def test_the_bytes_lie_where_the_layout_says(tmp_path):
    path = str(tmp_path / "ledger")
    ledger = Ledger.create(path, 3, 2, run_id="r", boot_id="b")
    ledger.claim(2, 1)
    ledger.intent(2, 7, 0xABCD, writer=1)
    ledger.ack(2, 7, commit=99, writer=1)
    ledger.verified(2, 7, writer=1)
    ledger.see(2, 7)
    ledger.excuse(2, 4)
    with open(path, "rb") as file:
        raw = file.read()
    assert raw[:8] == b"STRESSDL"
    slot = struct.unpack_from("<8Q", raw, 4096 + (2 * 2 + 1) * 64)
    assert slot == (7, 7, 100, 0, 0, 0xABCD, 1 << 8 | State.OWNED, 7)
    assert struct.unpack_from("<2Q", raw, 4096 + 3 * 2 * 64 + 2 * 16) == (7, 4)


def test_outcomes_of_saves(ledger):
    ledger.intent(1, 1, 11)
    assert ledger.outcome(1, 1) is Outcome.IN_FLIGHT
    assert (ledger.floor(1), ledger.newest_intent(1)) == (0, 1)
    ledger.ack(1, 1, commit=0)
    assert (ledger.outcome(1, 1), ledger.floor(1)) == (Outcome.ACKED, 1)
    assert ledger.slot(1).acked_commit == 0
    ledger.intent(1, 2, 22)
    ledger.fail(1, 2)
    ledger.intent(1, 3, 33)
    ledger.unknown(1, 3)
    assert [ledger.outcome(1, seq) for seq in (1, 2, 3, 4)] == [
        Outcome.ACKED,
        Outcome.FAILED,
        Outcome.UNKNOWN,
        Outcome.NEVER,
    ]
    ledger.ack(1, 3)
    assert [ledger.outcome(1, seq) for seq in (1, 2, 3)] == [Outcome.PAST, Outcome.FAILED, Outcome.ACKED]
    assert ledger.slot(1).unknown_bits == 0
    assert ledger.slot(0).intent_sum == ledger.slot(2).intent_sum == 0  # neighbours are untouched


def test_unknown_that_is_resolved_as_failed_is_failed(ledger):
    ledger.intent(0, 1, 1)
    ledger.unknown(0, 1)
    ledger.fail(0, 1)
    assert ledger.outcome(0, 1) is Outcome.FAILED


def test_a_failure_is_remembered_for_64_saves_and_never_blamed_on_the_next(ledger):
    ledger.intent(0, 3, 0)
    ledger.fail(0, 3)
    for seq in range(4, 67):
        ledger.intent(0, seq, 0)
        ledger.ack(0, seq)
        assert ledger.outcome(0, 3) is Outcome.FAILED
    ledger.intent(0, 67, 0)  # takes the place of 3
    assert ledger.outcome(0, 67) is Outcome.IN_FLIGHT
    ledger.fail(0, 67)
    assert ledger.outcome(0, 3) is Outcome.PAST
    assert ledger.outcome(0, 67) is Outcome.FAILED


def test_a_lost_save_excuses_readers_until_the_next_one(ledger):
    ledger.intent(0, 4, 0)
    ledger.ack(0, 4)
    ledger.excuse(0, 4)
    assert ledger.floor(0) == 0
    ledger.excuse(0, 2)  # an older one changes nothing
    assert ledger.excused(0) == 4
    ledger.intent(0, 5, 0)
    ledger.ack(0, 5)
    assert ledger.floor(0) == 5


def test_the_newest_seen_only_grows(ledger):
    for seq in (3, 5, 4):
        ledger.see(2, seq)
    assert [ledger.newest_seen(key) for key in range(4)] == [0, 0, 5, 0]


def test_a_verified_save_counts_once(ledger):
    assert [ledger.verified(0, seq) for seq in (1, 1, 2, 1)] == [True, False, True, False]


def test_claims_count_epochs_and_retired_stays_retired(ledger):
    assert [ledger.claim(0), ledger.claim(0)] == [1, 2]
    ledger.retire(0)
    assert ledger.slot(0).state is State.RETIRED
    assert ledger.claim(0) == 3
    assert (ledger.slot(0).state, ledger.slot(0).epoch) == (State.RETIRED, 3)


def test_a_slot_that_is_not_there_is_an_error(ledger):
    for key, writer in ((-1, 0), (4, 0), (0, 1)):
        with pytest.raises(IndexError, match="no slot"):
            ledger.at(key, writer)


def _save_then_die(path):
    ledger = Ledger.open(path)
    for seq in range(1, 1000):
        ledger.intent(3, seq, seq * 7)
        if seq < 999:
            ledger.ack(3, seq)
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_stored_outlives_kill_9(ledger):
    process = SPAWN.Process(target=_save_then_die, args=(ledger.path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    slot = Ledger.open(ledger.path).slot(3)
    assert (slot.intent_seq, slot.acked_seq, slot.intent_sum) == (999, 998, 999 * 7)
    assert ledger.slot(3) == slot  # and another process's mapping shows it too


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: b"X" + raw[1:], "not a ledger"),
        (lambda raw: raw[:100], "not a ledger"),
        (lambda raw: raw[:8] + b"\x09" + raw[9:], "version 9"),
        (lambda raw: raw[:16] + b"\x05" + raw[17:], "header is damaged"),
        (lambda raw: raw[:40] + b"?" + raw[41:], "header is damaged"),
        (lambda raw: raw[:-8], "it was cut"),
        (lambda raw: raw + raw, "it was cut"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused(tmp_path, change, message):
    path = tmp_path / "ledger"
    Ledger.create(str(path), 4, run_id="r", boot_id="b").close()
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        Ledger.open(str(path))


def test_an_archived_ledger_keeps_what_it_held(ledger, tmp_path):
    ledger.intent(0, 1, 5)
    old = str(tmp_path / "old")
    was = ledger.path
    ledger.archive(old)
    assert open_or_none(was) is None
    assert open_or_none(old).slot(0).intent_sum == 5


def test_creating_replaces_what_is_there_whole(tmp_path):
    path = str(tmp_path / "ledger")
    Ledger.create(path, 4, run_id="one", boot_id="b").intent(0, 9, 9)
    assert Ledger.create(path, 2, run_id="two", boot_id="b").newest_intent(0) == 0
    assert sorted(os.listdir(tmp_path)) == ["ledger"]


@pytest.mark.parametrize(("keys", "run_id"), [(0, "r"), (1, "r" * 65)])
def test_a_geometry_that_cannot_be_is_refused(tmp_path, keys, run_id):
    with pytest.raises(ValueError, match=r"at least one key|longer than 64"):
        Ledger.create(str(tmp_path / "ledger"), keys, run_id=run_id, boot_id="b")
