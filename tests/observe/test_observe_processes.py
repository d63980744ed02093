from hypothesis import given
from hypothesis import strategies as st

from stressd.observe.processes import POINTS, MemoryByProcess


@given(st.integers(0, 5_000))
def test_it_stays_of_one_size_and_covers_all_of_the_time(count):
    memory = MemoryByProcess()
    for second in range(count):
        memory.take(float(second), {"daemon": 100, "main 0": second})
    past = memory.history()
    assert len(past.at_s) <= POINTS
    assert list(past.at_s) == sorted(set(past.at_s))
    assert {len(values) for values in past.memory_bytes.values()} <= {len(past.at_s)}
    if count:
        assert past.at_s[0] == 0.0
        assert past.at_s[-1] >= count - 1 - count * 2 // POINTS - 1
        assert max(past.memory_bytes["main 0"]) == count - 1


def test_a_peak_stays_visible_and_who_is_not_there_has_none():
    memory = MemoryByProcess(points=4)
    for second in range(40):
        held = {"daemon": 10, "main 10": 1} | ({"main 2": 999} if second == 13 else {})
        memory.take(float(second), held)
    past = memory.history()
    assert list(past.memory_bytes) == ["daemon", "main 2", "main 10"]
    assert max(past.memory_bytes["main 2"]) == 999
    assert 0 in past.memory_bytes["main 2"]
    assert set(past.memory_bytes["daemon"]) == {10}
