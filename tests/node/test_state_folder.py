import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from run_records import run_record

from stressd.errors import UsageError
from stressd.node.state import KEPT_ARCHIVES, KEPT_REPORTS, StateFolder, boot_id

PATIENCE_S = 30
RECORD = run_record(
    run_id="20260101T000000-abcdef",
    prefix="s1-",
    scenario={"name": "small", "content": {"kind": "movies"}, "duration_s": 3.0},
    target_options={"password": "${SECRET}"},
    guarantees={"reads": "latest"},
    movies_sha256="0" * 64,
)

HOLDER = """
import sys
from stressd.node.state import StateFolder
state = StateFolder.open(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path):
    opened = StateFolder.open(str(tmp_path / "state"))
    yield opened
    opened.close()


def test_a_record_is_read_as_it_was_written(state):
    assert state.read_record() is None
    state.write_record(RECORD)
    assert state.read_record() == RECORD
    state.write_record(replace(RECORD, seed=8))
    assert state.read_record().seed == 8
    assert sorted(os.listdir(state.path)) == ["lock", "run.json"]  # and nothing half-written beside it


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        (json.dumps({"schema": "stressd.run/99"}), "cannot be read"),
        (json.dumps({"schema": "stressd.run/1", "run_id": "x"}), "cannot be read"),
        (json.dumps({"schema": "stressd.run/1"} | asdict(RECORD) | {"novelty": 1}), "cannot be read"),
    ],
)
def test_a_record_that_is_none_is_told_with_the_way_out(state, text, told):
    (state.path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=f"run.json: {told}.*move the folder away"):
        state.read_record()


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"run_id": "another", "started_at": "later", "version": "9", "prefix": "s2-"}, True),
        ({"scenario": RECORD.scenario | {"duration_s": 99.0}}, True),
        ({"scenario": RECORD.scenario | {"content": {"kind": "random"}}}, False),
        ({"seed": 8}, False),
        ({"movies_sha256": "1" * 64}, False),
        ({"target": "memory"}, False),
        ({"target_options": {}}, False),
        ({"lanes": 3}, False),
        ({"keys_per_lane": 3}, False),
        ({"one_process": True}, False),
        ({"boot_id": "another boot"}, False),
    ],
)
def test_a_run_goes_on_with_data_that_it_would_have_made_itself(changed, same):
    other = replace(RECORD, **changed)
    assert RECORD.same_data(other) is same
    if not same:
        (name,) = changed
        assert RECORD.difference(other) == ("content" if name == "scenario" else name)


def test_a_folder_that_another_process_has_is_refused_by_its_number_until_that_is_gone(tmp_path, project_root):
    path = str(tmp_path / "state")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=project_root
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match=f"process {holder.pid}"):
            StateFolder.open(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait(PATIENCE_S)
        StateFolder.open(path).close()
    finally:
        holder.kill()
        holder.communicate()


def test_a_folder_that_cannot_be_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be used as the state folder.*--state"):
        StateFolder.open(str(tmp_path / "file" / "state"))


def test_what_no_run_has_left_is_not_made_by_looking(tmp_path):
    with pytest.raises(UsageError, match="no run has left its state here"):
        StateFolder.open(str(tmp_path / "state"), create=False)
    assert not (tmp_path / "state").exists()


def test_the_folder_stays_bounded(state):
    for number in range(KEPT_ARCHIVES + 3):
        (state.path / "ledger").write_text(str(number))
        os.utime(state.path / "ledger", (number, number))
        state.archive_ledger(f"run{number}")
    newest = range(3, KEPT_ARCHIVES + 3)
    assert sorted(os.listdir(state.path / "archive")) == [f"ledger-run{number}" for number in newest]
    state.archive_ledger("without a ledger")
    for number in range(KEPT_REPORTS + 5):
        path = state.report_path(f"run{number:03d}")
        with open(path, "w") as file:
            file.write("{}")
        os.utime(path, (number, number))
    assert len(os.listdir(state.path / "reports")) == KEPT_REPORTS


def test_a_boot_has_one_name():
    assert boot_id() == boot_id() != ""
