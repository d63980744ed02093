"""The scenario's own objectives in a real run: in verdict, JUnit and metrics like the built-in ones; or its end."""

import xml.etree.ElementTree as ET

import pytest
from daemon import Daemon, criterion, stressd, write_scenario, write_target

READ = {"op": "read", "stat": "p50", "window": "3s"}
SLOWED = ("def read(self, group, names):", "    time.sleep(0.05 * os.path.exists('slow'))",
          "    return super().read(group, names)")  # fmt: skip


def test_one_that_holds_passes_in_report_junit_metrics_and_on_the_terminal(tmp_path):
    slo = [{"name": "online_read", **READ, "pass": "2s", "fail": "4s"},
           {"name": "no_errors", "op": "save", "stat": "error_ratio", "window": "3s", "pass": "1%", "fail": "5%"},
           {"name": "too_rare", "op": "save", "stat": "p999", "window": "3s", "pass": 1, "fail": 2}]  # fmt: skip
    scenario = write_scenario(tmp_path, duration_s=6, slo=slo)
    with Daemon(tmp_path, scenario, "--report", "out.xml", "--linger", "60") as daemon:
        daemon.until(lambda: daemon.stdout, "the verdict", timeout_s=120)
        scrape = daemon.metrics()
        code = daemon.stop()
    report = daemon.report()
    assert [criterion(report, each["name"])["verdict"] for each in slo] == ["pass", "pass", "inconclusive"]
    assert code == 4, "one that cannot be told is no pass"
    cases = {case.get("name"): [part.tag for part in case] for case in ET.parse(tmp_path / "out.xml").iter("testcase")}
    assert {name: cases[name] for name in ("online_read", "no_errors", "too_rare")} == {
        "online_read": [], "no_errors": [], "too_rare": ["error"]}  # fmt: skip
    assert scrape["stressd_criterion_status", (("criterion", "online_read"),)] == 0
    assert scrape["stressd_criterion_status", (("criterion", "too_rare"),)] == 3
    assert 0 < scrape["stressd_criterion_value", (("criterion", "online_read"),)] < 2
    assert "online_read" in daemon.stdout
    assert "< 2 s" in daemon.stdout


@pytest.mark.parametrize("duration_s", [None, 120])
def test_one_that_is_crossed_for_long_enough_ends_the_run_with_1(tmp_path, duration_s):
    slo = [{"name": "online_read", **READ, "pass": "20ms", "fail": "40ms", "abort_after": "2s"}]
    scenario = write_scenario(tmp_path, duration_s=duration_s, slo=slo)
    with Daemon(tmp_path, scenario, *write_target(tmp_path, *SLOWED)) as daemon:
        daemon.until_at_work()
        (tmp_path / "slow").touch()
        assert daemon.wait(60) == 1, daemon.stderr
    assert "aborted: online_read: p50 of read was 5" in daemon.stderr
    report = daemon.report()
    assert (report["verdict"], report["interrupted"]) == ("fail", False)
    assert report["aborted"].startswith("online_read: p50 of read was 5")
    assert report["load_seconds"] < 60
    assert "Aborted: online_read" in daemon.stdout.replace("\n   ", " ")


def test_mistakes_are_told_with_their_place_all_at_once(tmp_path):
    slo = [
        {"name": "degradation", **READ, "pass": 1, "fail": 2},
        {"name": "a", "op": "raed", "stat": "p98", "pass": "10 parsecs", "fail": 1},
        {"name": "b", "op": "save", "source": "cache", "stat": "p50", "pass": 3, "fail": 2},
        {"name": "c", **READ, "pass": 1, "fail": 2, "abort_afer": 3},
        {"name": "c", "op": "save", "stat": "rate", "pass": 1, "fail": 2},
    ]
    refused = stressd("validate", write_scenario(tmp_path, slo=slo), cwd=tmp_path)
    assert refused.returncode == 2
    for told in (
        "slo[0].name: 'degradation' is a criterion of stressd's own",
        "slo[1].op: 'raed' is not known; did you mean read?",
        "slo[1].stat: 'p98' is not known; did you mean p9",
        "slo[1].pass: '10 parsecs' is no length of time",
        "slo[2].source: a save comes from nowhere else",
        "slo[2].pass: pass 3, fail 2: less is better",
        "slo[3].abort_afer: there is no such key; did you mean abort_after?",
        "slo[4].pass: pass 1, fail 2: more is better",
    ):
        assert told in refused.stderr, refused.stderr
