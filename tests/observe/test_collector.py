import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from stressd.criteria import CRITERIA
from stressd.metrics import METRICS
from stressd.observe import derived
from stressd.observe.collector import Exporter, Format
from stressd.observe.derived import LaneInfo
from stressd.observe.node_metrics import NodeMetrics
from stressd.stats.histogram import BUCKETS, LADDER_S, bucket
from stressd.stats.table import Table, column

INFO = dict.fromkeys(("version", "python", "commit", "run_id", "scenario", "target", "hash"), "x")
POOLS = {"ingest": 2, "serving": 1}
LANES = (
    *(LaneInfo("ingest", worker, 2 * worker + thread) for worker in range(2) for thread in range(2)),
    LaneInfo("serving", 0, 4),
    LaneInfo("probe", 0, 5),
)
WALL_S, MONOTONIC_NS = 1_000_000.0, 500_000_000_000


class Soak:
    """A table, the node's metrics and their exporter; the clocks stand still."""

    def __init__(self, folder, pools=POOLS, lanes=LANES):
        self.table = Table.create(str(folder / "table"), len(lanes))
        self.node = NodeMetrics(pools=pools, criteria=[criterion.name for criterion in CRITERIA], info=INFO)
        self.exporter = Exporter(self.table, lanes, self.node, lambda: (WALL_S, MONOTONIC_NS))

    def cell(self, row, value, name, *values):
        self.table.row(row)[column(name, *values)] = value

    def scrape(self):
        return families(self.exporter.render(Format.TEXT))


def families(text):
    return {family.name: family for family in parse_text(text.decode())}


def value_of(found, name, **labels):
    (value,) = [
        sample.value
        for family in found.values()
        for sample in family.samples
        if (sample.name, sample.labels) == (f"stressd_{name}", labels)
    ]
    return value


@pytest.fixture
def soak(tmp_path):
    return Soak(tmp_path)


def samples_expected(metric, pools):
    own = len(metric.series)
    rest = {
        (): 1,
        ("pool",): pools,
        ("pool", "state"): 2 * 4,
        ("pool", "reason"): 2 * 6,
        ("pool", "worker"): 3,
        ("criterion",): len(CRITERIA),
    }
    labels = tuple(label for label in metric.labels if label in {"pool", "worker", "state", "reason", "criterion"})
    lines = len(LADDER_S) + 3 if metric.kind == "histogram" else 1
    return own * rest[labels] * lines


@pytest.mark.parametrize("form", Format)
def test_every_metric_is_there_from_the_first_scrape_with_all_its_series(soak, form):
    text = soak.exporter.render(form).decode()
    read = parse_openmetrics if form is Format.OPENMETRICS else parse_text
    found = {family.name: family for family in read(text)}
    for metric in METRICS:
        name = metric.full_name.removesuffix("_total") if metric.kind == "counter" else metric.full_name
        assert (name in found) == metric.exported, metric.name
        if metric.exported:
            pools = 3 if metric.home == "lane" else 2
            assert len(found[name].samples) == samples_expected(metric, pools), metric.name
            assert all(set(s.labels) - {"le"} == set(metric.labels) for s in found[name].samples)
    assert {"process_resident_memory_bytes", "python_info"} <= found.keys()
    assert "_created" not in text


def test_counters_are_added_up_by_pool_or_over_all(soak):
    for row, count in enumerate((1, 10, 100, 1_000, 10_000, 100_000)):
        soak.cell(row, count, "operations_total", "save", "ok")
        soak.cell(row, count, "reads_verified_total")
        soak.cell(row, count * 1_000_000_000, "verification_seconds_total", "cells")
    found = soak.scrape()
    saves = [
        value_of(found, "operations_total", op="save", outcome="ok", pool=pool)
        for pool in ("ingest", "serving", "probe")
    ]
    assert saves == [1_111.0, 10_000.0, 100_000.0]
    assert value_of(found, "reads_verified_total") == 111_111.0
    assert value_of(found, "verification_seconds_total", check="cells") == 111_111.0


def test_a_histogram_becomes_cumulative_buckets_with_count_and_sum(soak):
    for row, duration_ns in ((0, 40_000), (1, 300_000), (3, 300_000), (2, 200_000_000_000)):
        at = column("operation_service_seconds", "read", "store")
        cells = soak.table.row(row)
        cells[at + bucket(duration_ns)] += 1
        cells[at + BUCKETS] += duration_ns
    found = soak.scrape()
    labels = {"op": "read", "source": "store", "pool": "ingest"}
    buckets = {
        sample.labels["le"]: sample.value
        for sample in found["stressd_operation_service_seconds"].samples
        if sample.name.endswith("_bucket") and labels.items() <= sample.labels.items()
    }
    assert (buckets["5e-05"], buckets["0.00025"], buckets["0.0005"], buckets["60.0"], buckets["+Inf"]) == (
        1,
        1,
        3,
        3,
        4,
    )
    assert value_of(found, "operation_service_seconds_count", **labels) == 4
    assert value_of(found, "operation_service_seconds_sum", **labels) == pytest.approx(200.00064)


def test_what_the_node_keeps_is_shown(soak):
    soak.node.set("criterion_value", 812.5, "generation_rate")
    soak.node.observe("supervisor_tick_seconds", 0.003)
    soak.node.set_state("state", "running")
    found = soak.scrape()
    assert value_of(found, "criterion_value", criterion="generation_rate") == 812.5
    assert value_of(found, "supervisor_tick_seconds_bucket", le="0.005") == 1
    assert value_of(found, "state", stressd_state="running") == 1


def test_operations_under_way_are_counted_by_kind(soak):
    for row, code in enumerate((1, 3, 3, 0, 2, 3)):
        soak.cell(row, code, "inflight")
    found = soak.scrape()
    assert [value_of(found, "operations_inflight", op=op) for op in ("generate", "save", "read", "scrub")] == [
        1,
        1,
        3,
        0,
    ]


def test_a_workers_heartbeat_is_the_wall_time_of_its_oldest_lane(soak):
    for row, ago_s in enumerate((2, 7, 1)):
        soak.cell(row, MONOTONIC_NS - ago_s * 1_000_000_000, "heartbeat_ns")
    found = soak.scrape()
    beats = [value_of(found, "worker_heartbeat_timestamp_seconds", pool="ingest", worker=worker) for worker in "01"]
    assert beats == [WALL_S - 7, 0.0]  # worker 1 has a lane that has not beaten yet


def test_what_processes_tell_through_their_rows_is_added_up(soak):
    for name in ("arrow_bytes", "cache_bytes_held", "cache_evictions_seen", "commits_seen", "conflicts_seen"):
        soak.cell(0, 5, name)
        soak.cell(4, 7, name)
    found = soak.scrape()
    names = (
        "arrow_allocated_bytes",
        "cache_bytes",
        "cache_evictions_total",
        "store_commits_total",
        "store_conflicts_total",
    )
    assert {name: value_of(found, name) for name in names} == dict.fromkeys(names, 12.0)


def test_a_run_of_probes_alone_still_has_every_family(tmp_path):
    text = Soak(tmp_path, pools={}, lanes=(LaneInfo("probe", 0, 0),)).exporter.render(Format.TEXT).decode()
    for metric in METRICS:
        assert (f"# TYPE {metric.full_name} " in text) == metric.exported, metric.name


def test_a_part_that_fails_is_left_out_counted_and_logged_once(soak, monkeypatch, caplog):
    def broken(_moment):
        raise ZeroDivisionError("no such cell")

    monkeypatch.setitem(derived.DERIVED, "cache_bytes", broken)
    for scrapes in (1, 2):
        found = soak.scrape()
        assert "stressd_cache_bytes" not in found
        assert value_of(found, "store_commits_total") == 0
        assert value_of(found, "collector_errors_total") == scrapes
    assert [record.message for record in caplog.records] == [
        "cache_bytes is left out of /metrics: ZeroDivisionError: no such cell"
    ]


def test_without_the_table_the_nodes_own_metrics_remain(soak, monkeypatch):
    monkeypatch.setattr(Table, "snapshot", lambda self: (_ for _ in ()).throw(OSError("gone")))
    found = soak.scrape()
    assert "stressd_operations" not in found
    assert "stressd_operations_inflight" not in found
    assert value_of(found, "collector_errors_total") == 1
    assert value_of(found, "memory_limit_bytes") == 0


def test_a_scrape_tells_how_long_the_one_before_took(soak):
    assert value_of(soak.scrape(), "collector_seconds") == 0
    assert value_of(soak.scrape(), "collector_seconds") > 0


@settings(max_examples=25)
@given(rows=st.lists(st.integers(0, 2**52), min_size=len(LANES), max_size=len(LANES)))
def test_pools_and_whole_agree_whatever_the_rows_hold(tmp_path_factory, rows):
    soak = Soak(tmp_path_factory.mktemp("soak"))
    for row, count in enumerate(rows):
        soak.cell(row, count, "operations_late_total")
    found = soak.scrape()
    late = {s.labels["pool"]: s.value for s in found["stressd_operations_late"].samples}
    assert late == {"ingest": float(sum(rows[:4])), "serving": float(rows[4]), "probe": float(rows[5])}


def test_promtool_finds_nothing_to_criticise(soak, project_root):
    promtool = shutil.which("promtool") or shutil.which("promtool", path=project_root / ".venv/tools")
    if promtool is None:
        pytest.skip("promtool is neither on the PATH nor in .venv/tools; `make test` puts it there where it can")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=soak.exporter.render(Format.TEXT),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
