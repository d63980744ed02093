from dataclasses import replace

import pytest

from stressd.verdict.evidence import PhaseRecord, Reach
from stressd.verdict.saturation import reach_of
from stressd.verdict.wording import remarks

IDLE, BUSY = 0.2, 1.9


@pytest.fixture
def ticks(made):
    """A minute at 100 a second on two cores; `changes` maps a second to what was different."""

    def make(begun=100, late=0, cpu_s=IDLE, idle=0.5, **at):
        usual = {"offered": 100, "begun": begun, "late": late, "cpu_s": cpu_s, "idle": idle}
        return [made.tick(second, **(usual | at.get(f"s{second}", {}))) for second in range(60)]

    return make


def test_a_load_that_was_reached_has_no_limit(ticks):
    assert reach_of(ticks(), 10, 2.0) == Reach(100, 100, "")
    assert reach_of(ticks(begun=96), 10, 2.0).limit == ""


def test_the_target_is_the_limit_where_the_machine_has_time_left(ticks):
    assert reach_of(ticks(begun=50), 10, 2.0) == Reach(100, 50, "target")


def test_the_processor_is_the_limit_where_it_was_in_use(ticks):
    assert reach_of(ticks(begun=50, cpu_s=BUSY), 10, 2.0) == Reach(100, 50, "processor")
    assert reach_of(ticks(late=20, cpu_s=BUSY), 10, 2.0).limit == "processor"
    assert reach_of(ticks(late=20), 10, 2.0).limit == ""  # the target stalls now and then: that is what it shows
    assert reach_of(ticks(cpu_s=BUSY), 10, 2.0).limit == ""


def test_the_processor_is_the_limit_too_where_other_programs_use_it(ticks):
    assert reach_of(ticks(begun=50, idle=0.02), 10, 2.0) == Reach(100, 50, "processor")
    assert reach_of(ticks(late=20, idle=0.02), 10, 2.0).limit == ""  # all were begun: a busy machine is told elsewhere


def test_a_stall_that_is_made_up_for_is_none(ticks):
    assert reach_of(ticks(s20={"begun": 0}, s21={"begun": 200}), 10, 2.0) == Reach(100, 100, "")


def test_the_warm_up_and_faults_do_not_count(ticks):
    assert reach_of(ticks(**{f"s{second}": {"begun": 0} for second in range(10)}), 10, 2.0).limit == ""
    faulty = {f"s{second}": {"begun": 0, "fault": True} for second in range(20, 40)}
    assert reach_of(ticks(**faulty), 10, 2.0) == Reach(100, 100, "")


def test_too_little_tells_nothing(ticks):
    assert reach_of(ticks(begun=0)[:12], 10, 2.0).limit == ""
    assert reach_of(ticks(begun=0)[:14], 10, 2.0).limit == "target"
    assert reach_of(ticks(begun=0)[:10], 10, 2.0) == reach_of([], 10, 2.0) == Reach()


def test_a_stall_at_the_very_end_is_a_stall(ticks):
    assert reach_of(ticks(s18={"begun": 0}, s19={"begun": 20})[:20], 10, 2.0).limit == ""
    assert reach_of(ticks(s17={"begun": 0}, s18={"begun": 0}, s19={"begun": 20})[:20], 10, 2.0).limit == "target"


@pytest.mark.parametrize(
    ("limit", "why"), [("target", "its lanes were busy"), ("processor", "this machine's processors were in use")]
)
def test_the_report_says_what_was_reached_and_what_was_the_limit(limit, why, healthy, report_of):
    report = report_of(replace(healthy, reach=Reach(200.0, 98.7, limit)))
    assert report["verdict"] == "inconclusive"
    assert report["harness"]["saturated"] is True
    assert report["harness"]["saturated_by"] == limit
    assert f"The load asked for was not reached: {why} at 98.7 of 200 operations a second." in remarks(report)[0]


def test_a_load_that_was_reached_is_not_remarked_upon(healthy, report_of):
    report = report_of(replace(healthy, reach=Reach(200.0, 199.0, "")))
    assert report["harness"]["saturated"] is False
    assert (report["harness"]["offered_per_second"], report["harness"]["reached_per_second"]) == (200.0, 199.0)
    assert not [told for told in remarks(report) if "not reached" in told]


def test_the_report_tells_phases_and_pools_apart(healthy, report_of):
    phase = PhaseRecord("spike", False, 10.0, 20.0, {"main": healthy.measured})
    (told,) = report_of(replace(healthy, phases=[phase]))["phases"]
    operations = told["pools"]["main"]["operations"]
    assert (told["name"], told["warmup"], told["from_seconds"], told["until_seconds"]) == ("spike", False, 10.0, 20.0)
    assert operations["save"]["rate_per_second"] == 20.0  # two hundred in ten seconds
    assert operations["read"]["sources"]["cache"]["service_seconds"]["p50"] == pytest.approx(0.0005, rel=0.03)
    assert "scrub" not in operations  # none happened
