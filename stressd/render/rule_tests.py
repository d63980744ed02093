"""Unit tests of the alerting rules, for `promtool test rules`: of each alert a case that fires and one that does not.

A value a minute, in promtool's notation: `0+3x20` is 0, 3, 6, … twenty steps on; `1x20` is 1 and twenty times again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from stressd.render.alerts import Alert
from stressd.render.prometheus import annotations
from stressd.render.yaml_text import to_yaml

_HERE: Final = 'job="stressd", instance="a:9464"'
_SOURCE: Final = {"job": "stressd", "instance": "a:9464"}
_LABEL: Final = re.compile(r"\{\{ \$labels\.(\w+) \}\}")

Series = Mapping[str, str]  # selector, without job and instance: values


@dataclass(frozen=True, slots=True)
class Case:
    """What an alert sees until `minute`, and whether it fires then.

    `labels` are those of the alert that fires, besides job, instance and severity, and `value` is its value as people
    are shown it; both None where it stays silent.
    """

    alert: str
    minute: int
    series: Series
    value: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=lambda: _SOURCE)

    @property
    def fires(self) -> bool:
        """Whether the alert is to fire."""
        return self.value is not None


def _operations(ok: str, error: str, injected: str = "0x2000") -> Series:
    values = {"ok": ok, "error": error, "injected": injected}
    return {
        f'stressd_operations_total{{op="save", outcome="{outcome}", pool="mixed"}}': text
        for outcome, text in values.items()
    }


def _memory(values: str) -> Series:
    return {
        "stressd_tree_proportional_memory_bytes": values,
        "stressd_memory_limit_bytes": "1000000000x300",
        "process_start_time_seconds": "0x300",
    }


def _behind(cpu: str) -> Series:
    return {
        **_operations("0+100x30", "0x30"),
        'stressd_operations_late_total{pool="mixed"}': "0+6x30",
        'stressd_operations_dropped_total{pool="mixed"}': "0+4x30",
        'stressd_pool_cpu_seconds_total{pool="mixed"}': cpu,
        "process_cpu_seconds_total": "0+6x30",
        "stressd_cpu_limit_cores": "2x30",
    }


def _latency(within_1_s: str) -> Series:
    name = 'stressd_operation_latency_seconds_bucket{op="read", pool="mixed", '
    return {f'{name}le="1.0"}}': within_1_s, f'{name}le="2.5"}}': "0+100x30", f'{name}le="+Inf"}}': "0+100x30"}


def _store(values: str) -> Series:
    return {
        "stressd_store_bytes": values,
        "stressd_disk_free_bytes": "4000000000x200",
        "process_start_time_seconds": "0x200",
    }


_RUNNING: Final = {'stressd_state{stressd_state="running"}': "1x100"}
_DRAINING: Final = {'stressd_state{stressd_state="running"}': "0x100"}
_RESTARTS: Final = 'stressd_worker_restarts_total{pool="mixed", reason='
_HEARTBEAT: Final = 'stressd_worker_heartbeat_timestamp_seconds{pool="mixed", worker="0"}'
_STANDING: Final = _operations("100x30", "0x30")

CASES: Final = (
    Case("ViolationDetected", 5, {'stressd_violations_total{kind="lost"}': "0x3 1x10"}, "1", {"kind": "lost"}),
    Case("ViolationDetected", 5, {'stressd_violations_total{kind="lost"}': "0x20"}),
    Case("HighErrorRatio", 10, _operations("0+90x20", "0+10x20"), "10%"),
    Case("HighErrorRatio", 10, _operations("0+97x20", "0+3x20", "0+500x20")),
    Case("HighErrorRatio", 10, _operations("0+1x20", "0+1x20")),  # two a minute are no traffic
    Case("VeryHighErrorRatio", 10, _operations("0+70x20", "0+30x20"), "30%"),
    Case("VeryHighErrorRatio", 10, _operations("0+90x20", "0+10x20", "0+900x20")),
    Case("ErrorBudgetBurnFast", 70, _operations("0+80x90", "0+20x90"), "20%"),
    Case("ErrorBudgetBurnFast", 70, _operations("0+80x90", "0+20x60 1200x30")),  # it burned, and is over
    Case("ErrorBudgetBurnSlow", 190, _operations("0+95x200", "0+5x200"), "5%"),
    Case("ErrorBudgetBurnSlow", 190, _operations("0+98x200", "0+2x200")),
    Case("Down", 10, {"up": "1x3 0x20"}, "1"),
    Case("Down", 10, {}, "1", source={"job": "stressd"}),  # not even a target
    Case("Down", 10, {"up": "1x20"}),
    Case("NoProgress", 15, {**_STANDING, **_RUNNING}, "1"),
    Case("NoProgress", 15, {**_STANDING, **_DRAINING}),
    Case("NoProgress", 15, {**_operations("0+1x30", "0+90x30"), **_RUNNING}),
    Case("NoProgress", 15, {**_operations("100x30", "0x30", "0+5x30"), **_RUNNING}),  # a fault of our own is on
    Case("WorkerStalled", 10, {_HEARTBEAT: "30x20", **_RUNNING}, "9m 30s", {"pool": "mixed", "worker": "0"}),
    Case("WorkerStalled", 10, {_HEARTBEAT: "0+60x20", **_RUNNING}),
    Case("WorkerStalled", 10, {_HEARTBEAT: "30x20", **_DRAINING}),
    Case(
        "WorkersMissing",
        10,
        {
            'stressd_workers_desired{pool="mixed"}': "2x20",
            'stressd_workers{pool="mixed", state="running"}': "2x2 1x20",
            **_RUNNING,
        },
        "1",
        {"pool": "mixed"},
    ),
    Case(
        "WorkersMissing",
        10,
        {
            'stressd_workers_desired{pool="mixed"}': "2x20",
            'stressd_workers{pool="mixed", state="running"}': "2 1x3 2x20",
            **_RUNNING,
        },
    ),
    Case("CrashLoop", 20, {f'{_RESTARTS}"signal"}}': "0x5 0+1x20"}, "10", {"pool": "mixed"}),
    Case("CrashLoop", 20, {f'{_RESTARTS}"injected"}}': "0+2x30", f'{_RESTARTS}"recycle"}}': "0+2x30"}),
    Case("LatencyHigh", 20, _latency("0+50x30"), "2.47s", {"op": "read"}),
    Case("LatencyHigh", 20, _latency("0+100x30")),
    Case("MemoryGrowth", 180, _memory("100000000+1000000x200"), "60M"),
    Case("MemoryGrowth", 180, _memory("100000000+100000x200")),
    Case("MemoryGrowth", 80, _memory("100000000+1000000x200")),  # warming up
    Case("MemoryLimitAhead", 110, _memory("500000000+4000000x200"), "190%"),
    Case("MemoryLimitAhead", 110, _memory("500000000x200")),
    Case("MemoryNearLimit", 10, _memory("950000000x20"), "95%"),
    Case("MemoryNearLimit", 10, _memory("850000000x20")),
    Case("StoreGrowth", 150, _store("0+1000000x200"), "108%"),
    Case("StoreGrowth", 150, _store("0+500000x200")),
    Case(
        "FdExhaustion",
        10,
        {
            'stressd_worker_open_fds{pool="mixed", worker="1"}': "900x20",
            "process_open_fds": "20x20",
            "process_max_fds": "1000x20",
        },
        "90%",
    ),
    Case(
        "FdExhaustion",
        10,
        {
            'stressd_worker_open_fds{pool="mixed", worker="1"}': "700x20",
            "process_open_fds": "20x20",
            "process_max_fds": "1000x20",
        },
    ),
    Case("GeneratorSaturated", 20, _behind("0+110x30"), "10%"),
    Case("GeneratorSaturated", 20, _behind("0+60x30")),  # late, but there is a processor left: the store is slow
    Case(
        "CriterionFailed",
        10,
        {'stressd_criterion_status{criterion="error_rate"}': "2x20"},
        "1",
        {"criterion": "error_rate"},
    ),
    Case(
        "CriterionFailed",
        10,
        {
            'stressd_criterion_status{criterion="error_rate"}': "1x20",
            'stressd_criterion_status{criterion="data_integrity"}': "2x20",
        },
    ),
    Case(
        "CriterionInconclusive",
        70,
        {'stressd_criterion_status{criterion="recovery"}': "3x90"},
        "1",
        {"criterion": "recovery"},
    ),
    Case("CriterionInconclusive", 70, {'stressd_criterion_status{criterion="recovery"}': "3x50 0x40"}),
    Case("ReloadFailed", 10, {"stressd_reload_success": "1x4 0x20"}, "1"),
    Case("ReloadFailed", 10, {"stressd_reload_success": "1x20"}),
    Case("ScrapeSlow", 10, {"scrape_duration_seconds": "1.5x20"}, "1.5s"),
    Case("ScrapeSlow", 10, {"scrape_duration_seconds": "0.01x20"}),
)


def rule_tests(alerts: Sequence[Alert], cases: Sequence[Case] = CASES) -> str:
    """Return rules_test.yml; it lies beside rules.yml."""
    by_name = {alert.name: alert for alert in alerts}
    tests = [_test(by_name[case.alert], case) for case in cases]
    return to_yaml({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests})


def _test(alert: Alert, case: Case) -> dict[str, object]:
    expected = {"exp_alerts": [_expected(alert, case)]} if case.fires else {}
    return {
        "interval": "1m",
        "name": f"{alert.name} {'fires' if case.fires else 'is silent'}",
        "input_series": [{"series": _with_source(name), "values": text} for name, text in case.series.items()],
        "alert_rule_test": [{"eval_time": f"{case.minute}m", "alertname": alert.name, **expected}],
    }


def _expected(alert: Alert, case: Case) -> dict[str, dict[str, str]]:
    labels = {**case.source, **case.labels}
    texts = annotations(alert, case.value or "")
    return {
        "exp_labels": {**labels, "severity": alert.severity},
        "exp_annotations": {name: _LABEL.sub(lambda m: labels.get(m[1], ""), text) for name, text in texts.items()},
    }


def _with_source(selector: str) -> str:
    name, brace, rest = selector.partition("{")
    return f"{name}{{{_HERE}, {rest}" if brace else f"{name}{{{_HERE}}}"
