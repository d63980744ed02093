"""The supervisor over real processes: small scripts that speak the worker's side of the channel."""

import os
import signal
import time

import pytest
from scripted_children import PATIENCE_S, READY, Script, turn_until

from stressd.errors import DaemonError, TargetError
from stressd.stats.table import Control, column
from stressd.supervisor import supervisor as module
from stressd.supervisor.states import WorkerState


def test_workers_are_started_and_become_ready(supervise):
    supervisor = supervise(Script(), Script())
    turn_until(supervisor, lambda: supervisor.all_ready)
    assert {str(slot) for slot in supervisor.pids.values()} == {"main/0", "main/1"}
    assert [slot.state for slot in supervisor.slots] == [WorkerState.RUNNING] * 2
    assert supervisor.tally.deaths == 0


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, "signal"), (signal.SIGSEGV, "signal")])
def test_a_killed_worker_is_replaced_counted_and_others_are_left_alone(supervise, number, reason):
    first, second = Script(), Script()
    supervisor = supervise(first, second)
    turn_until(supervisor, lambda: supervisor.all_ready)
    untouched = second.started[0].pid
    os.kill(first.started[0].pid, number)
    turn_until(supervisor, lambda: len(first.started) == 2 and supervisor.all_ready)
    assert supervisor.tally.deaths == 1
    assert supervisor.tally.restarts == {("main", reason): 1}
    assert len(supervisor.tally.outages_s) == 1
    assert [child.pid for child in second.started] == [untouched]
    assert first.started[0].exit_status == -number
    assert not os.path.exists(f"/proc/{first.started[0].pid}")  # reaped


def test_death_ends_the_wait(supervise):
    script = Script()
    supervisor = supervise(script)
    turn_until(supervisor, lambda: supervisor.all_ready)
    os.kill(script.started[0].pid, signal.SIGKILL)
    began_s = time.monotonic()
    while not supervisor.tally.deaths:  # twice at most: its channel may be closed a moment before it has ended
        supervisor.turn(PATIENCE_S)
    assert time.monotonic() - began_s < PATIENCE_S / 2


def test_a_worker_that_ends_by_itself_has_died_too(supervise):
    script = Script(['say("ready")\nsys.exit(3)', READY])
    supervisor = supervise(script)
    turn_until(supervisor, lambda: supervisor.tally.deaths and supervisor.all_ready)
    assert supervisor.tally.restarts == {("main", "exit"): 1}


def test_a_worker_that_closes_its_end_before_it_ends_does_not_make_the_parent_spin(supervise):
    script = Script(['say("ready")\nparent.close()\ntime.sleep(60)'])
    supervisor = supervise(script)
    turn_until(supervisor, lambda: supervisor.all_ready and script.started[0].channel.closed)
    turns, until_s = 0, time.monotonic() + 0.3
    while time.monotonic() < until_s:
        supervisor.turn(0.1)
        turns += 1
    assert turns <= 6
    assert supervisor.tally.deaths == 0


def test_what_a_worker_said_last_is_heard(supervise):
    said = 'say("ready")\nsay("error", op="read", kind="K", message="m", trace="t")\nsys.exit(3)'
    supervisor = supervise(Script([said, READY]))
    turn_until(supervisor, lambda: supervisor.tally.deaths)
    assert [message["event"] for message in supervisor.messages] == ["ready", "error"]


def test_a_failure_at_the_start_is_no_reason_to_try_again(supervise):
    supervisor = supervise(Script(['say("failed", message="no such module", trace="")\nsys.exit(1)']))
    with pytest.raises(TargetError, match="no such module"):
        turn_until(supervisor, lambda: False)


def test_a_bug_at_the_start_is_no_mistake_of_the_user_and_its_stack_is_the_news(supervise, caplog):
    said = 'say("failed", message="KeyError: 1", bug=True, trace="Traceback: here")\nsys.exit(1)'
    supervisor = supervise(Script([said]))
    with pytest.raises(DaemonError, match=r"main/0 failed while it was starting: KeyError: 1; its stack is above"):
        turn_until(supervisor, lambda: False)
    assert "Traceback: here" in caplog.text


def test_a_death_before_the_first_ready_ends_the_run_and_all_others(supervise):
    other = Script()
    supervisor = supervise(other, Script(["sys.exit(9)"]))
    with pytest.raises(DaemonError, match=r"main/1 died while it was starting \(exit status 9\)"):
        turn_until(supervisor, lambda: False)
    supervisor.close()
    assert supervisor.all_gone
    assert not os.path.exists(f"/proc/{other.started[0].pid}")
    assert supervisor.tally.deaths == 0


def test_a_failure_later_is_a_death_and_the_next_one_is_tried(supervise):
    failing = 'say("failed", message="lost the connection", trace="")\nsys.exit(1)'
    script = Script(["say('ready')\n" + failing, failing, READY])
    supervisor = supervise(script)
    turn_until(supervisor, lambda: len(script.started) == 3 and supervisor.all_ready)
    assert supervisor.tally.deaths == 2


def test_a_hung_worker_is_made_to_tell_its_stacks_then_killed_and_replaced(supervise, table, monkeypatch):
    monkeypatch.setattr(module, "AFTER_ABORT_S", 0.1)
    # Deaf to the signal that asks for the stacks, as a thread stuck in foreign code may be.
    script = Script(['signal.signal(signal.SIGABRT, signal.SIG_IGN)\nsay("ready")\ntime.sleep(60)', READY])
    supervisor = supervise(script, hang_s=0.3)

    def beating_again():
        if len(script.started) == 2:
            table.row(0)[column("heartbeat_ns")] = time.monotonic_ns()
        return len(script.started) == 2 and supervisor.all_ready

    turn_until(supervisor, beating_again)
    assert supervisor.tally.restarts == {("main", "hang"): 1}
    assert script.started[0].exit_status == -signal.SIGKILL


def test_one_silent_lane_is_a_hang_though_another_beats(supervise, table):
    script = Script(threads=2)
    supervisor = supervise(script, hang_s=0.3)

    def beat_one():
        table.row(0)[column("heartbeat_ns")] = time.monotonic_ns()
        return supervisor.tally.restarts["main", "hang"]

    turn_until(supervisor, beat_one)


def test_a_beating_worker_is_left_alone(supervise, table):
    supervisor = supervise(Script(), hang_s=0.5)
    until_s = time.monotonic() + 1.2
    while time.monotonic() < until_s:
        table.row(0)[column("heartbeat_ns")] = time.monotonic_ns()
        supervisor.turn(0.02)
    assert supervisor.tally.deaths == 0


# --- Crash loops ---------------------------------------------------------------------------------

DIES = 'say("ready")\nos._exit(7)'


def test_a_crash_loop_degrades_the_slot(supervise, caplog):
    supervisor = supervise(Script([DIES]))
    turn_until(supervisor, lambda: supervisor.slots[0].state is WorkerState.DEGRADED)
    assert supervisor.tally.deaths == 6
    assert caplog.text.count("its slot is degraded") == 1
    until_s = time.monotonic() + 0.3
    while time.monotonic() < until_s:
        supervisor.turn(0.05)
    assert supervisor.tally.deaths == 6  # slow from here on


def test_most_slots_degraded_for_long_end_the_run(supervise, monkeypatch):
    """A slot whose workers say ready and die again is not well in between."""
    monkeypatch.setattr(module, "HOPELESS_S", 0.5)
    monkeypatch.setattr("stressd.supervisor.states.DEGRADED_RETRY_S", 0.05)
    stays = Script()
    supervisor = supervise(Script([DIES]), Script([DIES]), stays)
    with pytest.raises(DaemonError, match="2 of 3 workers keep dying"):
        turn_until(supervisor, lambda: False)
    supervisor.close()  # which has the same reason to give up, and must not
    assert supervisor.all_gone
    assert not os.path.exists(f"/proc/{stays.started[0].pid}")


def test_a_worker_whose_target_lives_in_it_is_not_replaced_since_its_data_is_gone(supervise):
    script = Script()
    supervisor = supervise(script, replaceable=False)
    turn_until(supervisor, lambda: supervisor.all_ready)
    os.kill(script.started[0].pid, signal.SIGKILL)
    with pytest.raises(DaemonError, match=r"signal 9.*all that was saved"):
        turn_until(supervisor, lambda: False)
    assert supervisor.tally.deaths == 1
    assert len(script.started) == 1


def test_half_of_the_slots_degraded_do_not(supervise, monkeypatch):
    monkeypatch.setattr(module, "HOPELESS_S", 0.1)
    supervisor = supervise(Script([DIES]), Script())
    turn_until(supervisor, lambda: supervisor.slots[0].state is WorkerState.DEGRADED)
    until_s = time.monotonic() + 0.4
    while time.monotonic() < until_s:
        supervisor.turn(0.05)
    assert supervisor.slots[1].state is WorkerState.RUNNING


def test_a_degraded_slot_is_well_again_once_its_worker_stays(supervise, monkeypatch):
    monkeypatch.setattr("stressd.supervisor.states.DEGRADED_RETRY_S", 0.05)
    monkeypatch.setattr("stressd.supervisor.states.HEALTHY_S", 0.3)
    supervisor = supervise(Script([*[DIES] * 6, READY]))
    turn_until(supervisor, lambda: supervisor.tally.deaths == 6)
    assert supervisor.slots[0].state is WorkerState.DEGRADED
    turn_until(supervisor, lambda: supervisor.slots[0].ready_at_s is not None)
    assert supervisor.slots[0].state is WorkerState.DEGRADED
    turn_until(supervisor, lambda: supervisor.slots[0].state is WorkerState.RUNNING)


# --- The end -------------------------------------------------------------------------------------


def test_a_drain_tells_when_and_lets_workers_end_by_themselves(supervise, table):
    script = Script(['signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))\nsay("ready")\ntime.sleep(60)'])
    supervisor = supervise(script)
    turn_until(supervisor, lambda: supervisor.all_ready)
    before_ns = time.monotonic_ns()
    supervisor.drain()
    assert before_ns <= table.control[Control.DRAIN] <= time.monotonic_ns()
    assert supervisor.slots[0].state is WorkerState.STOPPING
    script.started[0].signal(signal.SIGUSR1)
    turn_until(supervisor, lambda: supervisor.all_gone)
    assert supervisor.slots[0].state is WorkerState.STOPPED
    assert supervisor.tally.deaths == 0
    assert len(script.started) == 1


def test_a_worker_that_dies_while_draining_is_a_death_but_is_not_replaced(supervise):
    script = Script()
    supervisor = supervise(script)
    turn_until(supervisor, lambda: supervisor.all_ready)
    supervisor.drain()
    os.kill(script.started[0].pid, signal.SIGSEGV)
    turn_until(supervisor, lambda: supervisor.all_gone)
    assert supervisor.tally.deaths == 1
    assert len(script.started) == 1


def test_closing_kills_and_reaps_all_that_is_left_and_that_is_no_death(supervise):
    scripts = [Script(["signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY]), Script()]
    supervisor = supervise(*scripts)
    turn_until(supervisor, lambda: supervisor.all_ready)
    supervisor.drain()
    supervisor.close()
    assert supervisor.all_gone
    assert not any(os.path.exists(f"/proc/{script.started[0].pid}") for script in scripts)
    assert supervisor.tally.deaths == 0


def test_descriptors_of_the_dead_are_let_go(supervise):
    script = Script([DIES, DIES, DIES, READY])
    supervisor = supervise(script)
    turn_until(supervisor, lambda: len(script.started) == 1)
    before = len(os.listdir("/proc/self/fd"))
    turn_until(supervisor, lambda: len(script.started) == 4 and supervisor.all_ready)
    assert len(os.listdir("/proc/self/fd")) <= before
