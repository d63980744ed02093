"""A report with any damage is refused, or rendered and compared: nothing in between."""

import copy
import io
import random

import pytest

from stressd.verdict.compare import compare
from stressd.verdict.render_comparison import render_comparison
from stressd.verdict.render_html import render_html
from stressd.verdict.render_junit import render_junit
from stressd.verdict.render_markdown import render_markdown
from stressd.verdict.render_text import render_text
from stressd.verdict.report_shape import mistakes_in

DAMAGED = 80
GONE = object()
DAMAGE = (GONE, None, "x", -1, 1.5, True, [], {}, [None])


def places(value, path=()):
    """Yield the path of everything in a report, of a list its first item."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def damaged(report, path, damage):
    found = copy.deepcopy(report)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    if damage is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = damage
    return found


def used(report, other):
    for render in (render_html, render_junit, render_markdown):
        render(report)
    render_text(report, io.StringIO())
    for pair in ((report, other), (other, report)):
        render_comparison(compare(*pair), io.StringIO())


def test_a_report_is_one(healthy, report_of):
    assert mistakes_in(report_of(healthy)) == []


def test_a_damaged_report_is_refused_or_can_be_used(healthy, report_of, run_seed):
    report = report_of(healthy)
    report["timeline"] = report["timeline"][:8]
    rng, refused = random.Random(run_seed), 0
    everywhere = list(places(report))
    for _ in range(DAMAGED):
        path, damage = rng.choice(everywhere), rng.choice(DAMAGE)
        found = damaged(report, path, damage)
        if mistakes_in(found):
            refused += 1
            continue
        try:
            used(found, report)
        except Exception as error:
            raise AssertionError(f"{'.'.join(map(str, path))} became {damage!r}: {error!r}") from error
    assert refused > DAMAGED / 10


@pytest.mark.parametrize(
    ("path", "damage", "says"),
    [
        (("seed",), GONE, "report.seed: missing"),
        (
            ("operations", "save", "latency_seconds", "p99"),
            "x",
            "report.operations.save.latency_seconds.p99: 'x' is no",
        ),
        (("operations", "scrub", "count"), 1.5, "report.operations.scrub.count: 1.5 is no int"),
        (("memory", "rss_bytes"), {}, "report.memory.rss_bytes.peak: missing"),
        (("timeline", 0, "p50_seconds"), [], "report.timeline[0].p50_seconds: [] is no object"),
        (("verification", "violations", "lost"), True, "report.verification.violations.lost: True is no int"),
        (("faults",), [{"kind": "x"}], "report.faults[0].from_seconds: missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(healthy, report_of, path, damage, says):
    assert mistakes_in(damaged(report_of(healthy), path, damage))[0].startswith(says)
