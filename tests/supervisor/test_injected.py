"""What the fault schedule does to workers, a process that nothing ends, and what a thousand restarts leave behind."""

import gc
import os
import signal
import time

import pytest
from scripted_children import READY, Script, state_of, turn_for, turn_until

from stressd.errors import DaemonError
from stressd.stats.table import column
from stressd.supervisor import supervisor as module
from stressd.supervisor.child import Child
from stressd.supervisor.states import CRASHES, WorkerState

HEARTBEAT = column("heartbeat_ns")


def at_work(supervise, *scripts, **settings):
    supervisor = supervise(*scripts, **settings)
    turn_until(supervisor, lambda: supervisor.all_ready)
    return supervisor


# --- Kills on schedule


def test_a_kill_on_schedule_is_no_death_and_the_next_one_starts_at_once(supervise):
    script = Script()
    supervisor = at_work(supervise, script, backoff_first_s=60, backoff_most_s=60)
    for number in range(2, CRASHES + 4):  # so often in so short a time would degrade the slot
        supervisor.kill(supervisor.slots[0])
        assert supervisor.at_work() == []
        turn_until(supervisor, lambda number=number: len(script.started) == number and supervisor.all_ready)
    assert supervisor.tally.deaths == 0
    assert supervisor.tally.restarts == {("main", "injected"): CRASHES + 2}
    assert len(supervisor.tally.outages_s) == CRASHES + 2
    assert supervisor.slots[0].state is WorkerState.RUNNING


def test_a_death_before_the_kill_came_is_a_death(supervise):
    script = Script(["signal.signal(signal.SIGUSR1, lambda *_: os._exit(4))\n" + READY, READY])
    supervisor = at_work(supervise, script)
    os.kill(script.started[0].pid, signal.SIGUSR1)
    time.sleep(0.2)  # it has ended by itself by now, and nobody has looked yet
    supervisor.kill(supervisor.slots[0])
    turn_until(supervisor, lambda: len(script.started) == 2 and supervisor.all_ready)
    assert supervisor.tally.deaths == 1
    assert supervisor.tally.restarts == {("main", "exit"): 1}


def test_the_one_after_a_kill_on_schedule_dies_like_any_other(supervise):
    script = Script()
    supervisor = at_work(supervise, script)
    supervisor.kill(supervisor.slots[0])
    turn_until(supervisor, lambda: len(script.started) == 2 and supervisor.all_ready)
    os.kill(script.started[1].pid, signal.SIGKILL)
    turn_until(supervisor, lambda: len(script.started) == 3 and supervisor.all_ready)
    assert supervisor.tally.deaths == 1


def test_a_kill_on_schedule_that_a_drain_overtakes_is_no_death(supervise):
    supervisor = at_work(supervise, Script())
    supervisor.kill(supervisor.slots[0])
    supervisor.drain()
    turn_until(supervisor, lambda: supervisor.all_gone)
    assert supervisor.tally.deaths == 0


def test_a_kill_of_the_only_process_that_holds_what_was_saved_ends_the_run(supervise):
    supervisor = at_work(supervise, Script(), replaceable=False)
    supervisor.kill(supervisor.slots[0])
    with pytest.raises(DaemonError, match="all that was saved"):
        turn_until(supervisor, lambda: False)


# --- Pauses


def beats(table, *rows):
    for row in rows:
        table.row(row)[HEARTBEAT] = time.monotonic_ns()


def test_a_paused_worker_is_not_taken_for_hung_and_goes_on_where_it_was(supervise, table):
    paused, other = Script(), Script()
    supervisor = at_work(supervise, paused, other, hang_s=0.4)
    slot = supervisor.slots[0]
    beats(table, 0)
    child = supervisor.pause(slot)
    assert slot in supervisor.at_work(), "a paused worker can be killed"
    turn_for(supervisor, 1.0, lambda: beats(table, 1))
    assert state_of(child.pid) == "T"
    supervisor.resume(slot, child)
    turn_for(supervisor, 0.2, lambda: beats(table, 1))
    assert state_of(child.pid) in "RS"
    turn_for(supervisor, 0.5, lambda: beats(table, 0, 1))
    assert supervisor.tally.deaths == 0
    assert [len(script.started) for script in (paused, other)] == [1, 1]


def test_a_worker_that_does_not_wake_up_after_a_pause_is_hung(supervise):
    supervisor = at_work(supervise, Script(), hang_s=0.4)
    slot = supervisor.slots[0]
    supervisor.resume(slot, supervisor.pause(slot))
    turn_until(supervisor, lambda: supervisor.tally.restarts["main", "hang"])


def test_the_end_of_a_pause_does_not_wake_the_next_worker_of_the_slot(supervise):
    supervisor = at_work(supervise, Script())
    slot = supervisor.slots[0]
    first = supervisor.pause(slot)
    supervisor.kill(slot)
    turn_until(supervisor, lambda: slot.child is not first and supervisor.all_ready)
    second = supervisor.pause(slot)
    supervisor.resume(slot, first)
    time.sleep(0.1)
    assert state_of(second.pid) == "T"
    assert slot.paused


def test_a_paused_worker_can_be_closed(supervise):
    script = Script()
    supervisor = at_work(supervise, script)
    supervisor.pause(supervisor.slots[0])
    supervisor.close()
    assert not os.path.exists(f"/proc/{script.started[0].pid}")


# --- Files that cannot be written

WRITES = """
say("ready")
while parent.recv(1):
    try:
        with open(f"written-{os.getpid()}", "wb") as file: file.write(b"x")
        say("wrote", errno=0)
    except OSError as error:
        say("wrote", errno=error.errno)
"""


def test_no_worker_may_write_while_files_are_limited_nor_one_that_starts_meanwhile(supervise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = Script([WRITES])
    supervisor = at_work(supervise, script)

    def writes():
        """Have the worker write a file; return the number of its error, 0 if there was none."""
        heard = len(supervisor.messages)
        script.started[-1].channel._socket.sendall(b"w")
        turn_until(supervisor, lambda: len(supervisor.messages) > heard)
        return supervisor.messages[-1]["errno"]

    assert writes() == 0
    supervisor.limit_files(True)
    assert writes() == 27  # EFBIG: what may not grow cannot be written
    supervisor.kill(supervisor.slots[0])
    turn_until(supervisor, lambda: len(script.started) == 2 and supervisor.all_ready)
    assert writes() == 27
    supervisor.limit_files(False)
    assert writes() == 0
    (tmp_path / "ours").write_text("the daemon's own files are not limited", encoding="utf-8")


# --- A process that the kernel holds on to


@pytest.fixture
def unkillable(monkeypatch):
    """Have kills reach nobody, as those of a process that waits for a disk that is gone; call it to have them land."""
    monkeypatch.setattr(module, "AFTER_ABORT_S", 0.1)
    monkeypatch.setattr(module, "UNREAPABLE_S", 0.2)
    real, held = Child.signal, []

    def signalled(child, number):
        held.append((child, number))

    monkeypatch.setattr(Child, "signal", signalled)

    def let_go():
        monkeypatch.setattr(Child, "signal", real)
        for child, number in held:
            child.signal(number)

    return let_go


def test_a_process_that_no_kill_ends_keeps_its_slot_and_holds_nobody_up(supervise, table, unkillable, caplog):
    stuck, other = Script(), Script()
    supervisor = at_work(supervise, stuck, other, hang_s=0.3)
    slot = supervisor.slots[0]
    turn_until(supervisor, lambda: beats(table, 1) or slot.stuck)
    assert "does not let it go" in caplog.text
    assert (slot.state, supervisor.down, supervisor.tally.deaths) == (WorkerState.DEGRADED, 1, 1)
    turn_for(supervisor, 0.3, lambda: beats(table, 1))
    assert len(stuck.started) == 1, "its rows and keys may still be written: nobody else gets them"
    assert supervisor.slots[1].state is WorkerState.RUNNING

    unkillable()
    turn_until(supervisor, lambda: beats(table, 0, 1) or (len(stuck.started) == 2 and supervisor.all_ready))
    assert supervisor.tally.deaths == 1, "it was counted when it was given up"
    assert supervisor.tally.restarts == {("main", "hang"): 1}


def test_a_process_that_no_kill_ends_does_not_hold_up_the_drain(supervise, table, unkillable):
    supervisor = at_work(supervise, Script(), hang_s=0.3)
    turn_until(supervisor, lambda: supervisor.slots[0].stuck)
    supervisor.drain()
    assert supervisor.all_gone
    unkillable()
    turn_until(supervisor, lambda: supervisor.slots[0].child is None)
    assert supervisor.tally.deaths == 1


def test_most_slots_stuck_for_long_end_the_run(supervise, unkillable, monkeypatch):
    monkeypatch.setattr(module, "HOPELESS_S", 0.2)
    supervisor = supervise(Script(), hang_s=0.3)
    with pytest.raises(DaemonError, match="1 of 1 workers"):
        turn_until(supervisor, lambda: False)
    unkillable()
    supervisor.drain()
    turn_until(supervisor, lambda: supervisor.slots[0].child is None)


# --- What restarts leave behind

RESTARTS = int(os.environ.get("STRESSD_CHAOS_KILLS", "60"))


def footprint():
    gc.collect()
    with open("/proc/self/status", encoding="ascii") as status:
        rss_kb = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return len(os.listdir("/proc/self/fd")), len(gc.get_objects()), rss_kb


@pytest.mark.timeout(120 + RESTARTS)
def test_restarts_leave_no_descriptor_no_memory_and_no_process_behind(supervise):
    script = Script()
    supervisor = at_work(supervise, script)

    def restart(times):
        for _ in range(times):
            before = slot.child
            supervisor.kill(slot)
            turn_until(supervisor, lambda before=before: slot.child is not before and supervisor.all_ready)
            script.started.clear()

    slot = supervisor.slots[0]
    restart(5)
    fds, objects, rss_kb = footprint()
    restart(RESTARTS)
    fds_now, objects_now, rss_kb_now = footprint()
    print(f"after {RESTARTS} restarts: {fds_now - fds:+} fds, {objects_now - objects:+} objects, "
          f"{rss_kb_now - rss_kb:+} kB")  # fmt: skip
    assert fds_now == fds
    assert objects_now - objects < RESTARTS  # not one object a restart
    assert rss_kb_now - rss_kb < 4_096
    assert supervisor.tally.restarts == {("main", "injected"): RESTARTS + 5}
