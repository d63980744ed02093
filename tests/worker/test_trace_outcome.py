"""What a worker says of errors and of violations, and how it counts them."""

import pytest

from stressd.metrics import ERROR_CLASSES, OUTCOMES
from stressd.targets.protocol import TargetCorrupt, TargetRejected
from stressd.worker.outcome import InjectedError, error_class, outcome
from stressd.worker.recollection import Recollection
from stressd.worker.trace import Trace


@pytest.mark.parametrize(
    ("error", "its_class", "its_outcome"),
    [
        (InjectedError("on schedule"), "injected", "injected"),
        (TargetRejected("full"), "rejected", "error"),
        (TargetCorrupt("checksum"), "corrupt", "violation"),
        (TimeoutError("slow"), "timeout", "timeout"),
        (KeyError("key"), "missing", "error"),
        (ConnectionResetError("gone"), "io", "error"),
        (ZeroDivisionError("a bug"), "other", "error"),
    ],
)
def test_errors_are_told_apart_by_type(error, its_class, its_outcome):
    assert error_class(error) == its_class
    assert outcome(its_class) == its_outcome
    assert its_class in ERROR_CLASSES
    assert its_outcome in OUTCOMES


@pytest.fixture
def trace(told, tmp_path):
    return Trace(told.channel, str(tmp_path))


def test_the_first_error_of_each_operation_and_type_is_told_with_its_stack(trace, told):
    def fail():
        raise ValueError("what happened")

    for op in ("read", "read", "save"):
        try:
            fail()
        except ValueError as error:
            trace.failed(op, error)
    trace.failed("read", TypeError("another"))
    trace.failed("read", InjectedError("as asked"))
    assert [(message["op"], message["kind"]) for message in told.messages("error")] == [
        ("read", "ValueError"),
        ("save", "ValueError"),
        ("read", "TypeError"),
    ]
    assert "in fail" in told.messages("error")[0]["trace"]


def test_the_first_violation_of_each_kind_is_told_and_only_it_leaves_a_specimen(trace, told, tmp_path):
    kept = []
    for kind in ("lost", "lost", "stale"):
        trace.violated(kind, "detail", lambda folder: kept.append(folder) or "path")
    trace.violated("corrupt", "found by the store itself")
    assert [message["kind"] for message in told.messages("violation")] == ["lost", "stale", "corrupt"]
    assert kept == [str(tmp_path)] * 2
    assert told.messages("violation")[2]["specimen"] is None


def test_a_cache_is_expected_to_hold_what_was_read_to_the_end_within_its_time_to_live():
    recollection = Recollection(ttl_ns=100)
    assert not recollection.expects(1, seq=5, began_ns=0)
    recollection.loaded(1, seq=5, began_ns=10, ended_ns=20)
    assert not recollection.expects(1, seq=5, began_ns=19)  # that read began while it was still being loaded
    assert recollection.expects(1, seq=5, began_ns=20)
    assert recollection.expects(1, seq=5, began_ns=109)
    assert not recollection.expects(1, seq=5, began_ns=110)
    assert not recollection.expects(1, seq=6, began_ns=50)
    assert not recollection.expects(2, seq=5, began_ns=50)
    recollection.loaded(1, seq=6, began_ns=60, ended_ns=70)
    assert recollection.expects(1, seq=6, began_ns=80)
