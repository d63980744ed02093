"""The live page in a real browser, of a real daemon: it shows what /api/status says, at once, to everyone.

The browser and axe-core come from `make tools`; without them the tests are skipped, and say so.
"""

import os
import re
import signal
import threading
import time

import pytest
from chromium import Chromium, Page, axe_source, program
from daemon import Daemon, until, write_scenario, write_target

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(program() is None, reason="no chromium: neither fetched by `make tools` nor on the PATH"),
]
SHOWN_WITHIN_S = 3.0
NOISE_S = 5.0  # what a busy machine may add

READ = """({
  sample: Number(document.documentElement.dataset.sample ?? -1),
  values: Object.fromEntries(["verdict", "state", "violations", "errors", "rate", "memory", "workers", "restarts"]
    .map((id) => [id, [document.getElementById(id).dataset.value, document.getElementById(id).textContent]])),
  criteria: Object.fromEntries([...document.querySelectorAll("#criteria-list li")]
    .map((li) => [li.dataset.name, [li.className, li.dataset.value]])),
  operations: Object.fromEntries([...document.querySelectorAll("#operations tbody tr")]
    .map((tr) => [tr.children[0].textContent, [tr.children[0].dataset.value, tr.children[5].textContent]])),
  processes: [...document.querySelectorAll("#processes tbody tr")]
    .map((tr) => [tr.children[0].textContent, tr.children[0].dataset.value, tr.children[1].textContent]),
  charts: [...document.querySelectorAll("figure .what")].map((node) => node.textContent),
})"""

# A store that is right until a file tells it not to be.
TURNCOAT = (
    "def open(self):",
    "    session = super().open()",
    "    read = session.read_detail",
    "    def lying(group, names, *, bypass_cache):",
    "        told = read(group, names, bypass_cache=bypass_cache)",
    "        if not os.path.exists('lie'):",
    "            return told",
    "        return told._replace(frames={n: frame.iloc[:-1] for n, frame in told.frames.items()})",
    "    session.read_detail = lying",
    "    session.read = lambda group, names: lying(group, names, bypass_cache=False).frames",
    "    return session",
)


class Recorder:
    """Keeps every /api/status there was, by its number."""

    def __init__(self, daemon):
        self._daemon = daemon
        self._done = threading.Event()
        self.statuses = {}

    def __enter__(self):
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join(30)

    def _run(self):
        while not self._done.wait(0.15):
            status = self._daemon.status()
            self.statuses[status["facts"]["sample"]] = status


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    target = write_target(folder, *TURNCOAT, base="embedded:EmbeddedTarget")
    faults = [{"kind": "target_errors", "at": 5, "duration_s": 1}]
    scenario = write_scenario(folder, duration_s=None, pool={"processes": 2, "threads": 1, "rate": 40}, faults=faults)
    with Daemon(folder, scenario, *target, "--set", "supervision.backoff_most_s=0.1") as running:
        running.until_at_work(timeout_s=120)
        yield running


@pytest.fixture
def page(browser, daemon):
    opened = Page(browser, daemon.address + "/")
    until(lambda: opened.run(READ)["sample"] > 0, "the page shows something")
    return opened


def number_in(text):
    """Return the number that a text shows, in the unit's base: `12.3 ms` is 0.0123."""
    match = re.match(r"([\d.,]+)\s*(µs|ms|s|MB|GB)?", text)
    return float(match[1].replace(",", "")) * {"µs": 1e-6, "ms": 1e-3, "MB": 1e6, "GB": 1e9}.get(match[2], 1)


def assert_shows(shown, status):
    """Assert that what the page shows is this status: the values behind it, and the texts, as they are rounded."""
    facts = status["facts"]
    expected = {
        "violations": sum(status["violations"].values()),
        "errors": status["errors"],
        "rate": status["rate_per_s"],
        "memory": facts["memory_bytes"],
        "workers": sum(pool["states"].get("running", 0) + pool["states"].get("degraded", 0) for pool in facts["pools"]),
        "restarts": sum(facts["restarts"].values()),
    }
    for name, value in expected.items():
        raw, text = shown["values"][name]
        assert float(raw) == pytest.approx(value), name
        assert number_in(text) == pytest.approx(value, rel=0.01, abs=0.006), (name, text)
    assert shown["values"]["state"][0] == facts["state"]
    assert shown["values"]["verdict"][0] == (facts["verdict"] or "")
    assert shown["criteria"] == {
        one["name"]: [one["outcome"], "" if one["value"] is None else shown["criteria"][one["name"]][1]]
        for one in status["criteria"]
    }
    for one in status["criteria"]:
        if one["value"] is not None:
            assert float(shown["criteria"][one["name"]][1]) == pytest.approx(one["value"])
    for one in status["operations"]:
        raw, text = shown["operations"][one["name"]]
        assert (int(raw), int(text.replace(",", ""))) == (one["count"], one["count"])
    assert shown["processes"] == [
        [one["name"], str(one["pid"] or ""), one["state"] or "–"] for one in status["processes"]
    ]


def test_at_five_moments_the_page_shows_what_the_status_says(page, daemon):
    with Recorder(daemon) as recorder:
        seen, deadline_s = set(), time.monotonic() + 90
        while len(seen) < 5:
            before = max(seen, default=0)
            shown = until(lambda before=before: (now := page.run(READ))["sample"] > before and now, "a newer status")
            until(
                lambda shown=shown: max(recorder.statuses, default=0) >= shown["sample"], "it was recorded, or missed"
            )
            status = recorder.statuses.get(shown["sample"])
            if status is None:  # a busy machine made the recorder late
                assert time.monotonic() < deadline_s, "no status on the page was recorded beside it"
                continue
            assert_shows(shown, status)
            # Nothing newer than a tick ago was left out.
            assert daemon.status()["facts"]["sample"] - shown["sample"] <= 2
            seen.add(shown["sample"])
    assert {"Operations a second", "Errors a second", "Memory by process", "save", "read (store)"} <= set(
        shown["charts"]
    )
    assert page.run("document.querySelectorAll('#charts svg path').length") > 5
    until(
        lambda: page.run("document.querySelectorAll('#charts rect.fault').length") >= 3, "the fault is marked in each"
    )
    assert "target errors" in page.run("document.getElementById('faults-list').textContent")


def test_the_page_is_quiet_and_asks_nobody_else(page, browser, daemon):
    time.sleep(1.5)
    for kind in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
        assert not page.events(kind)
    asked = {event["request"]["url"] for event in page.events("Network.requestWillBeSent")}
    assert asked >= {f"{daemon.address}{path}" for path in ("/", "/page.js", "/page.css", "/api/status")}
    assert all(url.startswith(f"{daemon.address}/") for url in asked)
    assert not page.events("Network.loadingFailed")


def test_both_themes_and_a_phones_width_are_readable(page):
    def ground():
        return page.run("getComputedStyle(document.body).backgroundColor")

    def luminance():
        return sum(map(int, re.findall(r"\d+", ground())[:3]))

    assert luminance() > 600
    page.prefer("dark")
    assert luminance() < 150
    # The button goes round: as the system, light, dark; and what was chosen is kept.
    page.run("document.getElementById('theme').click()")
    assert luminance() > 600
    page.run("document.getElementById('theme').click()")
    page.prefer("light")
    assert luminance() < 150
    page.reload()
    until(lambda: page.run("document.documentElement.dataset.theme") == "dark", "the choice was kept")
    page.run("document.getElementById('theme').click()")
    assert page.run("document.getElementById('theme').textContent") == "Theme: as the system"
    page.resize(360, 740)
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert page.run("[...document.querySelectorAll('.tiles dd, h2, figcaption')].every((n) => n.scrollWidth <= 360)")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)])
def test_an_accessibility_checker_finds_nothing(page, scheme, width):
    axe = axe_source()
    if axe is None:
        pytest.skip("no axe-core: not fetched by `make tools`")
    page.prefer(scheme)
    page.resize(width, 900)
    page.run(f"{axe}; 0")
    found = page.run("axe.run().then((r) => r.violations.map((v) => [v.id, v.impact, v.nodes.map((n) => n.html)]))")
    assert found == []
    assert page.run("axe.run().then((r) => r.passes.length)") > 20


def test_it_is_used_without_a_mouse(page):
    def focused():
        return page.run("document.activeElement.className || document.activeElement.id")

    page.press("Tab")
    assert focused() == "skip"
    page.press("Tab")
    assert focused() == "theme"
    page.press("Tab")
    assert focused() == "chart"
    until(
        lambda: page.run("shownPoints = document.querySelectorAll('#charts output').length") > 3, "charts have values"
    )
    for _ in range(3):
        page.press("ArrowLeft")
    assert page.run("document.getElementById('span').textContent").startswith("at ")
    assert page.run("document.querySelectorAll('#charts line.cursor').length") >= 3
    sample = page.run(READ)["sample"]
    until(lambda: page.run(READ)["sample"] > sample + 1, "it was drawn anew")
    assert focused() == "chart"  # and the focus stayed
    page.press("Escape")
    assert " to " in page.run("document.getElementById('span').textContent")


def shown_after_s(page, condition):
    """Return how long it takes until the page fulfils a condition."""
    since_s = time.monotonic()
    until(lambda: condition(page.run(READ)), "the page shows it", every_s=0.05)
    return time.monotonic() - since_s


def test_a_killed_worker_and_a_violation_show_within_three_seconds(page, daemon):
    before = page.run(READ)
    victim = daemon.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    took_s = shown_after_s(
        page,
        lambda now: (
            int(now["values"]["restarts"][0]) > int(before["values"]["restarts"][0])
            and str(victim) not in [pid for _, pid, _ in now["processes"]]
        ),
    )
    print(f"a killed worker shown after {took_s:.1f} s")
    assert took_s < SHOWN_WITHIN_S + NOISE_S
    assert before["values"]["violations"] == ["0", "0"]
    (daemon.folder / "lie").touch()
    daemon.until(lambda: sum(daemon.status()["violations"].values()), "a violation", every_s=0.02)
    took_s = shown_after_s(page, lambda now: int(now["values"]["violations"][0]) > 0)
    print(f"a violation shown {took_s:.1f} s after the status had it")
    assert took_s < SHOWN_WITHIN_S + NOISE_S
    shown_after_s(page, lambda now: now["values"]["verdict"][1] == "Data violated")
    assert page.run("document.getElementById('tile-violations').className") == "bad"
    assert "schema" in page.run("document.getElementById('verified').textContent")


def test_it_says_when_nobody_answers_and_goes_on_when_somebody_does(tmp_path, browser):
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=1), "--linger", "300") as daemon:
        daemon.until(lambda: daemon.stdout, "the verdict is printed", timeout_s=120)
        page = Page(browser, daemon.address + "/")
        until(lambda: page.run(READ)["values"]["verdict"][1] == "Passed", "the verdict is shown while it lingers")
        assert page.run("document.getElementById('state').textContent") == "stopped"
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            until(
                lambda: "what is shown is old" in page.run("document.getElementById('state').textContent"), "it tells"
            )
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        until(lambda: page.run("document.getElementById('state').textContent") == "stopped", "it goes on")
        assert daemon.stop() == 0


# --- The report as a page ----------------------------------------------------------------------------

REPORT = """({
  verdict: document.getElementById("verdict").dataset.value,
  criteria: Object.fromEntries([...document.querySelectorAll(".criteria li")]
    .map((li) => [li.dataset.name, li.className])),
  charts: [...document.querySelectorAll("figure .what")].map((node) => node.textContent),
  paths: document.querySelectorAll("#charts svg path").length,
  bars: document.querySelectorAll("#spreads rect.bar").length,
  faults: document.querySelectorAll("#charts rect.fault").length,
  width: document.documentElement.scrollWidth,
})"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A run's report, as JSON and as a page's address."""
    folder = tmp_path_factory.mktemp("reported")
    faults = [{"kind": "target_errors", "at": 2, "duration_s": 1}]
    scenario = write_scenario(folder, duration_s=5, faults=faults)
    with Daemon(folder, scenario, "--report", "report.html") as daemon:
        daemon.wait()
        return daemon.report(), f"file://{folder}/report.html"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_the_report_shows_what_the_json_says_to_everyone_and_asks_nobody(browser, reported, scheme, width):
    report, address = reported
    page = Page(browser, address, width=width, scheme=scheme)
    shown = page.run(REPORT)
    assert shown["verdict"] == report["verdict"]
    assert shown["criteria"] == {criterion["name"]: criterion["verdict"] for criterion in report["criteria"]}
    assert {"Operations a second", "Memory by process", "save", "read from the store"} <= set(shown["charts"])
    assert shown["paths"] > 5
    assert shown["bars"] > 5
    assert shown["faults"] >= 3
    assert shown["width"] <= width
    assert [event["request"]["url"] for event in page.events("Network.requestWillBeSent")
            if not event["request"]["url"].startswith("data:")] == [address]  # fmt: skip
    for kind in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Network.loadingFailed"):
        assert not page.events(kind)
    if (axe := axe_source()) is not None:
        page.run(f"{axe}; 0")
        assert page.run("axe.run().then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))") == []
