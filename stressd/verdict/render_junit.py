"""A report as JUnit XML: one test case per criterion, so that any CI system shows it.

A failed criterion is a failure. An inconclusive one is an error: it must not look like a pass. A warning
passes and says so in its output; a criterion that does not apply is skipped. A verdict that no criterion
explains (the workers failed, the generator was the bottleneck) has a test case of its own, `run`.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Final

from stressd.verdict import wording
from stressd.verdict.wording import Json

_ELEMENTS: Final = {
    "fail": "failure",
    "inconclusive": "error",
    "not_applicable": "skipped",
    "warn": "system-out",
}
_BAD_RUNS: Final = ("fail", "inconclusive", "violated", "error")


def render_junit(report: Json) -> str:
    """Return the report as JUnit XML."""
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", name=f"stressd.{wording.clean(report['scenario']['name'])}")
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report):
        ET.SubElement(properties, "property", name=name, value=wording.clean(value))
    for criterion in report["criteria"]:
        _add_case(suite, criterion)
    if report["verdict"] in _BAD_RUNS and not _bad(suite):
        case = ET.SubElement(suite, "testcase", classname="stressd.run", name="run", time="0")
        error = ET.SubElement(case, "error", message=wording.headline(report), type=wording.clean(report["verdict"]))
        error.text = " ".join(wording.remarks(report))
    suite.set("time", f"{report['duration_seconds']:.3f}")
    suite.set("timestamp", wording.clean(report["started_at"]).removesuffix("Z"))
    for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{element}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _properties(report: Json) -> Iterator[tuple[str, object]]:
    for name in ("run_id", "verdict", "exit_code", "interrupted", "seed", "run_again"):
        yield name, report[name]
    yield "unfinished", bool(report.get("unfinished"))
    yield "target", report["target"]["name"]
    yield "guarantees", wording.claims(report)
    yield "verification", wording.checked(report)


def _add_case(suite: ET.Element, criterion: Json) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"stressd.{wording.clean(criterion['subject'])}",
        name=wording.clean(criterion["name"]),
        time="0",
    )
    told = f"{wording.value(criterion)}, passes at {wording.threshold(criterion)}: {wording.why(criterion)}"
    element = _ELEMENTS.get(criterion["verdict"])
    if element == "system-out":
        ET.SubElement(case, element).text = f"warning: {told}"
    elif element is not None:
        message = wording.why(criterion) if element == "skipped" else told
        ET.SubElement(case, element, message=message, type=criterion["verdict"])


def _bad(suite: ET.Element) -> bool:
    return any(suite.findall(f"testcase/{element}") for element in ("failure", "error"))
