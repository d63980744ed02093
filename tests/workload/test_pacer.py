import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.workload.pacer import NEVER_NS, ConstantPacer

RATES = st.floats(0.001, 1_000_000, allow_nan=False)


def test_stripes_share_out_an_even_spacing():
    pacers = [ConstantPacer(100.0, stripe, 4) for stripe in range(4)]
    starts = sorted(pacer.offset_ns(k) for pacer in pacers for k in range(25))
    assert starts == [i * 10_000_000 for i in range(100)]


@given(RATES, st.integers(1, 64), st.data(), st.integers(0, 90 * 24 * 3600 * 10**9))
def test_due_are_exactly_the_starts_whose_offset_has_come(rate, stripes, data, elapsed_ns):
    pacer = ConstantPacer(rate, data.draw(st.integers(0, stripes - 1)), stripes)
    due = pacer.due(elapsed_ns)
    assert due >= 0
    assert due == 0 or pacer.offset_ns(due - 1) <= elapsed_ns
    assert pacer.offset_ns(due) > elapsed_ns


@given(RATES, st.integers(0, 10**9))
def test_starts_never_go_backwards(rate, start):
    pacer = ConstantPacer(rate)
    assert pacer.offset_ns(start) <= pacer.offset_ns(start + 1)


def test_a_rate_of_0_is_a_pause():
    assert ConstantPacer(0.0).due(10**18) == 0
    assert ConstantPacer(0.0).offset_ns(0) == NEVER_NS


@pytest.mark.parametrize(("rate", "stripe", "stripes"), [(-1.0, 0, 1), (1.0, 1, 1), (1.0, -1, 2)])
def test_a_pacer_that_cannot_be_is_refused(rate, stripe, stripes):
    with pytest.raises(ValueError, match="no pacer"):
        ConstantPacer(rate, stripe, stripes)
