"""Each criterion's finding: what it is measured by, and when it says that it cannot tell."""

from dataclasses import replace

import pytest

from stressd.criteria import BY_NAME, CRITERIA, Outcome
from stressd.targets.protocol import Abilities
from stressd.verdict.evidence import FaultRecord, ProbeResult
from stressd.verdict.measured import Inconclusive, Measured, NotApplicable
from stressd.verdict.measures import measure
from stressd.verdict.verdict import judge


def found(evidence, name):
    return measure(BY_NAME[name], evidence)


def outcome(evidence, name):
    (result,) = (result for result in judge(evidence).criteria if result.criterion.name == name)
    return result.outcome


@pytest.fixture
def from_load(healthy, made):
    """The healthy run without probes: what the load can tell, it has to."""
    return replace(healthy, scenario=made.scenario(probes=None), probes={})


@pytest.mark.parametrize("name", [criterion.name for criterion in CRITERIA])
def test_a_healthy_soak_passes_each_criterion(healthy, name):
    assert outcome(healthy, name) is Outcome.PASS


@pytest.mark.parametrize(
    ("probe", "name", "figure"),
    [
        ("generation", "generation_rate", 9.9),
        ("generation", "generation_memory", 300),
        ("storage", "save_throughput", 9),
        ("storage", "read_throughput", 19),
        ("concurrency", "concurrent_success_rate", 89),
        ("memory", "memory_released", 20.1),
        ("cache", "cache_speedup", 1.9),
        ("cache", "cache_hit_rate", 80),
        ("cache", "cache_ttl_refresh", 0),
    ],
)
def test_a_probes_bad_figure_fails_its_criterion(healthy, probe, name, figure):
    figures = {**healthy.probes[probe].figures, name: figure}
    evidence = replace(healthy, probes={**healthy.probes, probe: ProbeResult(probe, 1.0, figures)})
    assert outcome(evidence, name) is Outcome.FAIL


def test_what_lies_between_the_lines_is_a_warning(healthy):
    probe = ProbeResult("concurrency", 1.0, {"concurrent_success_rate": 93})
    evidence = replace(healthy, probes={**healthy.probes, "concurrency": probe})
    assert outcome(evidence, "concurrent_success_rate") is Outcome.WARN


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (ProbeResult("storage", 1.0, error="OSError: disk full"), "failed: OSError: disk full"),
        (ProbeResult("storage", 1.0, {}), "could not measure it"),
        (None, "has not run"),
    ],
)
def test_a_probe_without_a_figure_is_inconclusive(healthy, result, reason):
    probes = {name: probe for name, probe in healthy.probes.items() if name != "storage"}
    evidence = replace(healthy, probes=probes | ({"storage": result} if result else {}))
    finding = found(evidence, "save_throughput")
    assert isinstance(finding, Inconclusive)
    assert reason in finding.reason


def test_throughput_of_a_load_is_bytes_over_busy_time(from_load):
    assert found(from_load, "save_throughput").value == pytest.approx(2 / 0.02)
    assert found(from_load, "read_throughput").value == pytest.approx(2 / 0.006)


def test_a_handful_of_saves_says_nothing_about_throughput(from_load, counters):
    few = counters()
    few.serve("save", "none", [0.02] * 19)
    few.add("bytes_total", "save", count=10**9)
    assert "19 saves" in found(replace(from_load, measured=few.snapshot()), "save_throughput").reason


@pytest.mark.parametrize("name", ["save_throughput", "read_throughput", "cache_speedup", "cache_hit_rate"])
def test_a_load_that_only_generates_measures_no_store(from_load, made, name):
    only = made.scenario(probes=None, pools=[{"name": "g", "mix": {"generate": 1}}])
    assert isinstance(found(replace(from_load, scenario=only), name), NotApplicable)


def test_the_caches_speed_up_is_a_ratio_of_medians(from_load):
    finding = found(from_load, "cache_speedup")
    assert finding.value == pytest.approx(12, rel=0.05)
    assert "6.0" in finding.note or "5.9" in finding.note


def test_too_few_cached_reads_are_inconclusive(from_load, counters):
    few = counters()
    few.serve("read", "store", [0.006] * 300)
    few.serve("read", "cache", [0.0005] * 49)
    few.add("reads_expected_cached", count=99)
    few.add("reads_expected_cached_hit", count=99)
    evidence = replace(from_load, measured=few.snapshot())
    assert "50 of each" in found(evidence, "cache_speedup").reason
    assert "100 are needed" in found(evidence, "cache_hit_rate").reason


@pytest.mark.parametrize(("hits", "expected"), [(990, Outcome.PASS), (700, Outcome.FAIL), (800, Outcome.INCONCLUSIVE)])
def test_the_hit_rate_counts_reads_that_could_have_hit(from_load, counters, hits, expected):
    counted = counters()
    counted.add("reads_expected_cached", count=1_000)
    counted.add("reads_expected_cached_hit", count=hits)
    assert outcome(replace(from_load, measured=counted.snapshot()), "cache_hit_rate") is expected


# --- Errors ------------------------------------------------------------------------------------------


def with_errors(evidence, made, errors, attempts=60):
    """`errors` maps seconds to how many of that second's operations failed."""
    ticks = [made.tick(i + 1.0, attempts=attempts, errors=errors.get(i, 0)) for i in range(180)]
    return replace(evidence, ticks=ticks)


def test_one_error_among_thousands_passes(healthy, made):
    evidence = with_errors(healthy, made, {100: 1})
    assert outcome(evidence, "error_rate") is Outcome.PASS
    assert found(evidence, "error_rate").worst_at_s == pytest.approx(60)


def test_one_error_among_few_operations_does_not_fail(healthy, made):
    evidence = with_errors(healthy, made, {100: 1}, attempts=1)
    assert outcome(evidence, "error_rate") in (Outcome.WARN, Outcome.INCONCLUSIVE)


def test_a_bad_minute_fails_a_good_run_and_is_named(healthy, made):
    evidence = with_errors(healthy, made, dict.fromkeys(range(125, 160), 10))
    finding = found(evidence, "error_rate")
    assert outcome(evidence, "error_rate") is Outcome.FAIL
    assert finding.worst_at_s == pytest.approx(120)
    assert finding.value == pytest.approx(100 * 350 / 3_600)


def test_errors_of_the_warm_up_count(healthy, made):
    assert outcome(with_errors(healthy, made, {1: 60, 2: 60, 3: 60, 4: 60}), "error_rate") is Outcome.FAIL


def test_few_operations_without_an_error_are_no_pass(healthy, made):
    assert outcome(with_errors(healthy, made, {}, attempts=2), "error_rate") is Outcome.INCONCLUSIVE
    assert outcome(replace(healthy, ticks=[]), "error_rate") is Outcome.INCONCLUSIVE


def test_few_operations_that_all_fail_do_fail(healthy, made):
    ticks = [made.tick(i + 1.0, attempts=1, errors=1) for i in range(30)]
    assert outcome(replace(healthy, ticks=ticks), "error_rate") is Outcome.FAIL


# --- Host and faults ---------------------------------------------------------------------------------


def test_processor_time_counts_over_all_cores_after_warm_up(healthy, made):
    ticks = [made.tick(i + 1.0, cpu_s=2.0 if i < 10 else 0.9) for i in range(180)]
    assert found(replace(healthy, ticks=ticks), "cpu_at_rest").value == pytest.approx(45)
    assert outcome(replace(healthy, ticks=ticks, cores=1.0), "cpu_at_rest") is Outcome.FAIL


def test_a_closed_loop_is_never_at_rest(healthy, made):
    flat_out = made.scenario(pools=[{"name": "p", "mix": {"save": 1}}])
    finding = found(replace(healthy, scenario=flat_out), "cpu_at_rest")
    assert finding == NotApplicable("scenario's load is not paced")


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([(90, 93, 29.9)], Outcome.PASS),
        ([(90, 93, 30.1)], Outcome.FAIL),
        ([(90, 93, None)], Outcome.FAIL),
        ([(90, 93, 0.1), (120, 150, None)], Outcome.FAIL),
        ([(90, 93, 0.1), (148, 151, None)], Outcome.INCONCLUSIVE),
        ([(90, 93, None), (148, 151, None)], Outcome.FAIL),
        ([], Outcome.INCONCLUSIVE),
    ],
)
def test_recovery_waits_half_a_minute_for_each_fault(healthy, faults, expected):
    records = [FaultRecord("target_errors", *fault) for fault in faults]
    assert outcome(replace(healthy, faults=records), "recovery") is expected


def test_a_fault_may_be_given_less_time_to_recover_from(healthy):
    record = FaultRecord("worker_kill", 90, 90, 5.1, on="main/1", allowed_s=5)
    evidence = replace(healthy, faults=[record, replace(record, recovery_s=4.9), replace(record, recovery_s=None)])
    assert outcome(evidence, "recovery") is Outcome.FAIL
    assert (
        "took 5.1 s after worker_kill of main/1; 5 s are allowed; so did 1 more of 3"
        in found(evidence, "recovery").note
    )
    assert outcome(replace(healthy, faults=[replace(record, recovery_s=4.9)]), "recovery") is Outcome.PASS


def test_the_time_to_recover_begins_when_nothing_hides_it_any_more(healthy):
    hidden = FaultRecord("pause", 90, 93, None, clear_s=160)
    assert outcome(replace(healthy, faults=[hidden]), "recovery") is Outcome.INCONCLUSIVE
    assert outcome(replace(healthy, faults=[replace(hidden, clear_s=None)]), "recovery") is Outcome.FAIL


def test_a_fault_that_could_not_be_injected_is_named(healthy):
    without = {"disk_full": "it takes root"}
    told = found(replace(healthy, faults_left_out=without), "recovery").note
    assert told.endswith("; without disk_full: it takes root")
    assert "it takes root" in found(replace(healthy, faults=[], faults_left_out=without), "recovery").reason


def test_without_faults_there_is_nothing_to_recover_from(healthy, made):
    evidence = replace(healthy, scenario=made.scenario(faults=None), faults=[])
    assert found(evidence, "recovery") == NotApplicable("scenario has no faults")


def test_a_worker_that_died_fails(healthy):
    assert outcome(replace(healthy, deaths=1), "worker_deaths") is Outcome.FAIL


# --- Truth -------------------------------------------------------------------------------------------


def test_one_violation_fails_and_is_named(healthy, counters):
    counted = counters()
    counted.add("violations_total", "lost")
    finding = found(replace(healthy, total=counted.snapshot()), "data_integrity")
    assert finding == Measured.exactly(1, "1 lost")


def test_a_load_of_which_nothing_was_checked_is_no_pass(healthy, counters):
    assert found(replace(healthy, total=counters().snapshot()), "data_integrity") == Inconclusive("nothing was checked")


def test_a_target_that_stores_nothing_holds_nothing_wrong(healthy, counters):
    evidence = replace(healthy, total=counters().snapshot(), abilities=Abilities(storage=False))
    assert found(evidence, "data_integrity") == Measured.exactly(0, "stores nothing")


def test_a_scenario_that_only_generates_leaves_integrity_aside(healthy, made, counters):
    only = made.scenario(pools=None, faults=None, probes={"before": ["generation"]})
    evidence = replace(healthy, scenario=only, total=counters().snapshot(), ticks=[], load_s=0.0, faults=[])
    assert isinstance(found(evidence, "data_integrity"), NotApplicable)


# --- What does not apply -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abilities", "names"),
    [
        (Abilities(cache=False), {"cache_speedup", "cache_hit_rate", "cache_ttl_refresh"}),
        (Abilities(cache=True), {"cache_ttl_refresh"}),
        (
            Abilities(storage=False, cache=True, ttl_option="ttl"),
            {
                "save_throughput", "read_throughput", "concurrent_success_rate",
                "cache_speedup", "cache_hit_rate", "cache_ttl_refresh",
            },
        ),
    ],
    ids=["no cache", "no short TTL", "stores nothing"],
)  # fmt: skip
def test_a_missing_ability_takes_exactly_its_criteria_away(healthy, abilities, names):
    verdict = judge(replace(healthy, abilities=abilities))
    gone = {result.criterion.name for result in verdict.criteria if result.outcome is Outcome.NOT_APPLICABLE}
    assert gone == names
    assert verdict.outcome == "pass"


def test_a_probe_alone_decides_only_its_own_criteria(healthy, made, counters):
    only = made.scenario(pools=None, faults=None, probes={"before": ["generation"]})
    evidence = replace(
        healthy, scenario=only, total=counters().snapshot(), ticks=[], load_s=0.0, faults=[],
        probes={"generation": healthy.probes["generation"]},
    )  # fmt: skip
    decided = {
        result.criterion.name for result in judge(evidence).criteria if result.outcome is not Outcome.NOT_APPLICABLE
    }
    assert decided == {"generation_rate", "generation_memory", "worker_deaths"}
    assert judge(evidence).outcome == "pass"


@pytest.mark.parametrize(
    ("megabytes", "crowded_s", "outcome"), [(8, 60, "fail"), (8, 61, "inconclusive"), (80, 170, "pass")]
)
def test_a_machine_that_others_had_cannot_fail_a_throughput(healthy, counters, made, megabytes, crowded_s, outcome):
    counted = counters()
    counted.serve("save", "none", [0.02] * 200)
    counted.add("bytes_total", "save", count=200 * megabytes * made.mb // 50)
    others = {"idle": 0.0, "others": 0.6}
    ticks = [made.tick(at_s, **(others if 10 < at_s <= 10 + crowded_s else {})) for at_s in range(1, 191)]
    evidence = replace(healthy, scenario=made.scenario(probes=None), measured=counted.snapshot(), ticks=ticks)
    (saved,) = [result for result in judge(evidence).criteria if result.criterion.name == "save_throughput"]
    assert saved.outcome == outcome
    assert saved.value == pytest.approx(megabytes)
    assert ("other programs had the machine" in saved.why) == (crowded_s > 60)
