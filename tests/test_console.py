import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

import pytest
from rich.console import Console

from stressd.console import LiveView, line_of, mega, picture, seconds
from stressd.criteria import CRITERIA, Outcome
from stressd.metrics import CLASSES, VIOLATIONS
from stressd.observe.status import CriterionStatus, NodeFacts, OperationStatus, PoolFacts, Status, history
from stressd.verdict.evidence import FaultRecord


def make_status(elapsed_s=42.0, *, violations=0, **facts):
    known = {
        "state": "running",
        "run_id": "r1",
        "scenario": "soak",
        "target": "embedded",
        "seed": 7,
        "version": "0.1.0",
        "started_at": "2026-01-01T00:00:00Z",
        "elapsed_s": elapsed_s,
        "duration_s": 180.0,
        "pools": (PoolFacts("main", 2, {"running": 2}),),
        "memory_bytes": 412_000_000,
    }
    measured = {("save", "none"): (20.0, 0.008), ("read", "store"): (41.25, 0.0123)}
    operations = []
    for op, source in CLASSES:
        rate, p99_s = measured.get((op, source), (0.0, None))
        p50_s = None if p99_s is None else p99_s / 2
        operations.append(OperationStatus(op, source, int(rate * 60), rate, p50_s, p99_s, p50_s, p99_s))
    return Status(
        facts=NodeFacts(**{**known, **facts}),
        operations=operations,
        errors=3,
        attempts=3_000,
        reads_verified=2_475,
        violations={kind: violations if kind == "stale" else 0 for kind in VIOLATIONS},
        criteria=[
            CriterionStatus.of(criterion, list(Outcome)[i % 5], None if i % 5 == 3 else 12.5)
            for i, criterion in enumerate(CRITERIA)
        ],
        history=history([]),
    )


def test_a_line_says_all_in_pairs():
    assert line_of(make_status()) == (
        "0:00:42/0:03:00 state=running ops/s=61.2 save.p99=8.00ms read.store.p99=12.3ms errors=3 "
        "violations=0 memory=412MB workers=2/2 deaths=0 pass=4 warn=3 fail=3 inconclusive=3 not_applicable=3"
    )


def test_a_line_of_a_daemon_in_a_probe_names_the_phase_and_no_end():
    line = line_of(make_status(90_061.0, duration_s=None, phase="probe storage"))
    assert line.startswith("25:01:01 state=running phase=probe:storage ops/s=")


def lines_of(updates, **options):
    stream, now_s = io.StringIO(), [100.0]
    with LiveView(stream=stream, clock=lambda: now_s[0], **options) as view:
        for status in updates:
            view.update(status)
            now_s[0] += 1.0
    return stream.getvalue().splitlines()


def test_off_a_terminal_a_line_comes_every_ten_seconds():
    lines = lines_of(make_status(float(second)) for second in range(36))
    assert [line.split("/")[0] for line in lines] == ["0:00:00", "0:00:10", "0:00:20", "0:00:30"]


def test_lines_come_while_a_probe_runs_too_and_the_load_has_not_begun():
    assert len(lines_of(make_status(0.0, phase="probe storage") for _ in range(25))) == 3


def test_news_do_not_wait_for_their_line():
    updates = [
        make_status(0.0, state="warmup"),
        make_status(1.0, state="warmup"),
        make_status(2.0),
        make_status(3.0, violations=1),
        make_status(4.0, violations=1),
    ]
    told = [line.split()[1] + " " + line.split("violations=")[1].split()[0] for line in lines_of(updates)]
    assert told == ["state=warmup 0", "state=running 0", "state=running 1"]


def test_lines_are_free_of_control_codes():
    assert all(line.isprintable() for line in lines_of([make_status(violations=2)]))


def test_quiet_prints_nothing():
    assert lines_of([make_status()], quiet=True) == []


def test_a_stream_that_went_away_does_not_end_the_run():
    stream = io.StringIO()
    with LiveView(stream=stream) as view:
        stream.close()
        view.update(make_status())
        view.update(make_status(50.0))


def rendered(status, width=80, height=24, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    console.print(picture(status, console))
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()


def test_the_picture_fits_a_terminal_of_80_by_24_and_holds_everything():
    fault = FaultRecord("target_errors", 30.0, 33.0, 0.4)
    lines = rendered(make_status(violations=2, faults=(fault,), memory_limit_bytes=8_000_000_000))
    text = "\n".join(lines)
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    for criterion in CRITERIA:
        assert criterion.name in text
    for word in (
        "soak",
        "seed 7",
        "0:00:42 of 0:03:00",
        "read (store)",
        "12.3ms",
        "2 violations (2 stale)",
        "3 errors (0.10%)",
    ):
        assert word in text
    assert "memory 412MB of 8.00GB; workers 2 of 2" in text


@pytest.mark.parametrize("width", [20, 40, 79, 200])
def test_no_line_is_wider_than_the_terminal(width):
    assert max(map(len, rendered(make_status(), width))) <= width


def test_a_terminal_without_unicode_gets_ascii():
    assert any("FAIL " in line for line in rendered(make_status(), encoding="ascii"))


# The child updates a view on its terminal until it is interrupted.
CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
from test_console import LiveView, make_status
with LiveView() as view:
    for second in range(1000):
        view.update(make_status(float(second)))
        if second == 3:
            print("a word in between", file=sys.stderr)
        time.sleep(0.05)
"""


class Terminal:
    """A child on a pseudo terminal of its own, and all that it wrote there."""

    def __init__(self, project_root):
        self.master, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 80))
        self.modes = termios.tcgetattr(follower)
        self.written = b""
        code = CHILD.format(tests=str(project_root / "tests"))
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "PYTHONPATH": str(project_root),
            "LANG": "C.UTF-8",
        }
        environment.pop("COLUMNS", None), environment.pop("LINES", None)
        self.child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True,
        )  # fmt: skip
        self.follower = follower

    def wait_for(self, word, after=0):
        deadline = time.monotonic() + 30
        while word not in self.written[after:]:
            assert time.monotonic() < deadline, self.written[-2_000:]
            self.read(0.1)

    def read(self, timeout_s):
        if select.select([self.master], [], [], timeout_s)[0]:
            self.written += os.read(self.master, 65536)

    def end(self):
        self.child.kill()
        self.child.wait(10)
        os.close(self.follower)
        os.close(self.master)


@pytest.fixture
def terminal(project_root):
    terminal = Terminal(project_root)
    yield terminal
    terminal.end()


def test_on_a_terminal_the_region_is_redrawn_and_an_interrupt_leaves_it_sane(terminal):
    terminal.wait_for(b"0:00:05 of 0:03:00")
    assert b"a word in between" in terminal.written
    assert b"\x1b[?25l" in terminal.written  # the cursor is hidden
    os.kill(terminal.child.pid, signal.SIGINT)
    terminal.wait_for(b"KeyboardInterrupt")
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")
    assert termios.tcgetattr(terminal.follower) == terminal.modes


def test_a_terminal_that_changes_its_size_is_drawn_anew_from_its_top(terminal):
    terminal.wait_for(b"0:00:02 of 0:03:00")
    assert b"\x1b[2J" not in terminal.written
    termios.tcsetwinsize(terminal.follower, (12, 40))
    terminal.wait_for(b"\x1b[H\x1b[2J")
    start = terminal.written.index(b"\x1b[H\x1b[2J")
    terminal.wait_for(b"stressd", after=start)
    terminal.wait_for(b"\x1b[2K", after=start)
    assert terminal.child.poll() is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.0, "0.00us"),
        (0.00085, "850us"),
        (0.0123, "12.3ms"),
        (0.9994, "999ms"),
        (0.9996, "1.00s"),
        (99.96, "100s"),
    ],
)
def test_durations_have_three_digits(value, shown):
    assert seconds(value) == shown


def test_sizes_are_in_mega_and_giga():
    assert [mega(value) for value in (None, 999_400_000, 999_600_000, 12_340_000_000)] == [
        "-",
        "999MB",
        "1.00GB",
        "12.3GB",
    ]
