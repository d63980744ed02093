import os
import signal
import subprocess
import sys
import time

import pytest

from stressd.metrics import LANE_METRICS
from stressd.stats.histogram import BUCKETS, bucket
from stressd.stats.table import COLUMNS, ROW_WIDTH, Control, Table, column

PATIENCE_S = 30

# Adds to its row without end: first `a`, then `b`, then the cell that says how often.
WRITER = """
import sys
from stressd.stats.table import Table, column
row = Table.open(sys.argv[1]).row(int(sys.argv[2]))
a, b = column("reads_verified_total"), column("cells_checked")
big = 1 << 40
while True:
    row[a] += big + 1
    row[b] += big + 1
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "table")


@pytest.fixture
def start_writer(path, project_root):
    started = []

    def start(row):
        process = subprocess.Popen([sys.executable, "-c", WRITER, path, str(row)], cwd=project_root)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE_S)


def wait_until(holds):
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_every_lane_metric_has_cells_of_its_own():
    taken = []
    for metric in LANE_METRICS:
        width = BUCKETS + 1 if metric.kind == "histogram" else 1
        for values in metric.series:
            at = column(metric.name, *values)
            taken += range(at, at + width)
    assert len(taken) == len(set(taken))
    assert max(taken) < ROW_WIDTH
    assert ROW_WIDTH % 8 == 0


def test_what_one_mapping_writes_another_reads(path):
    ours, theirs = Table.create(path, 3), Table.open(path)
    ours.row(1)[column("operations_total", "read", "ok")] = 7
    ours.control[Control.DRAIN] = 5
    assert theirs.snapshot().cells[:, column("operations_total", "read", "ok")].tolist() == [0, 7, 0]
    assert theirs.control[Control.DRAIN] == 5
    assert theirs.rows == 3


def test_a_snapshot_is_a_copy_and_two_make_a_window(path):
    table = Table.create(path, 2)
    latency = column("operation_latency_seconds", "read")
    for row in (0, 1):
        table.row(row)[latency + bucket(1_000)] += 1
        table.row(row)[latency + BUCKETS] += 1_000
    before = table.snapshot()
    table.row(1)[latency + bucket(1_000)] += 3
    table.row(1)[latency + BUCKETS] += 3_000
    window = table.snapshot() - before
    assert before.sum_ns("operation_latency_seconds", "read") == 2_000
    assert window.histogram("operation_latency_seconds", "read").sum() == 3
    assert window.rows([0]).sum_ns("operation_latency_seconds", "read") == 0
    assert window.rows(slice(1, 2)).sum_ns("operation_latency_seconds", "read") == 3_000


def test_all_blocks_are_there_from_the_start(path):
    Table.create(path, 16)
    assert os.stat(path).st_blocks * 512 >= os.stat(path).st_size


@pytest.mark.parametrize("damage", [b"NOTATABL", b""])
def test_a_file_that_is_no_table_is_refused(path, damage):
    with open(path, "wb") as file:
        file.write(damage.ljust(8 * 1024, b"\0"))
    with pytest.raises(ValueError, match="not a table"):
        Table.open(path)


def test_a_table_of_another_layout_is_refused(path):
    Table.create(path, 1)
    with open(path, "r+b") as file:
        file.seek(32)
        file.write(b"\1" * 8)
    with pytest.raises(ValueError, match="not a table of this version"):
        Table.open(path)


def test_a_snapshot_never_sees_half_of_a_cell_nor_a_count_that_went_back(path, start_writer):
    """Counts grow in steps of 2^40 + 1: a cell of which half was written is no multiple of that."""
    table, step = Table.create(path, 3), (1 << 40) + 1
    for row in range(3):
        start_writer(row)
    a, b = column("reads_verified_total"), column("cells_checked")
    wait_until(lambda: all(table.row(row)[b] for row in range(3)))
    last = table.snapshot().cells
    for _ in range(2_000):
        now = table.snapshot().cells
        assert not (now[:, [a, b]] % step).any()
        assert (now >= last).all()
        assert (last[:, b] <= now[:, a]).all(), "the writer counts a first, and a copy is older than the next one"
        last = now


def test_the_replacement_of_a_killed_writer_goes_on_with_its_counts(path, start_writer):
    table, at = Table.create(path, 1), column("reads_verified_total")
    seen = 0
    for _ in range(3):
        writer = start_writer(0)
        wait_until(lambda seen=seen: table.row(0)[at] > seen)
        writer.send_signal(signal.SIGKILL)
        writer.wait(PATIENCE_S)
        assert table.row(0)[at] > seen
        seen = table.row(0)[at]
    assert seen % ((1 << 40) + 1) == 0


def test_columns_are_found_by_metric_and_label_values():
    assert len(set(COLUMNS.values())) == len(COLUMNS)
    with pytest.raises(KeyError):
        column("operations_total", "read", "no such outcome")
