import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.workload.ramp import NEVER_NS, SECOND_NS, Ramp, Way

LEVELS = st.floats(0, 1_000_000).map(lambda level: level if level > 0.01 else 0.0)
WAYS = st.lists(st.builds(Way, LEVELS, LEVELS, st.floats(0, 100_000)), min_size=1, max_size=6)
MOMENTS = st.integers(0, 90 * 24 * 3600 * SECOND_NS)

UP_AND_DOWN = Ramp([Way(0, 100, 10), Way(100, 100, 5), Way(100, 0, 10), Way(0, 0, 5), Way(50, 50, 0)])


@pytest.mark.parametrize(
    ("seconds", "level", "area"),
    [
        (0, 0, 0),
        (5, 50, 125),
        (10, 100, 500),
        (15, 100, 1000),
        (20, 50, 1375),
        (25, 0, 1500),
        (30, 50, 1500),
        (40, 50, 2000),
    ],
)
def test_the_level_goes_straight_and_its_area_counts_starts(seconds, level, area):
    assert UP_AND_DOWN.at(seconds * SECOND_NS) == pytest.approx(level)
    assert UP_AND_DOWN.area(seconds * SECOND_NS) == pytest.approx(area)


@pytest.mark.parametrize(("area", "seconds"), [(0, 0), (125, 5), (500, 10), (1000, 15), (1500, 30), (2000, 40)])
def test_an_area_is_reached_where_it_is_and_not_within_a_pause(area, seconds):
    assert UP_AND_DOWN.when_ns(area) == pytest.approx(seconds * SECOND_NS, rel=1e-9)


def test_what_never_comes_is_said():
    assert Ramp.steady(0).when_ns(0) == NEVER_NS
    ends = Ramp([Way(10, 0, 2), Way(0, 0, 0)])
    assert ends.when_ns(9.9) < 2 * SECOND_NS
    assert ends.when_ns(10) == NEVER_NS
    assert ends.reaches_ns(5, SECOND_NS * 3 // 2) == NEVER_NS


def test_a_way_of_no_duration_is_a_jump():
    ramp = Ramp([Way(1, 1, 2), Way(1, 7, 0), Way(7, 7, 0)])
    assert [ramp.at(s * SECOND_NS) for s in (0, 1, 2, 3)] == [1, 1, 7, 7]


@pytest.mark.parametrize(
    ("level", "after_s", "seconds"), [(50, 0, 5), (50, 7, 7), (50, 16, 16), (50, 21, 30), (100, 3, 10), (0, 22, 22)]
)
def test_a_level_is_reached_at_the_first_moment(level, after_s, seconds):
    assert UP_AND_DOWN.reaches_ns(level, after_s * SECOND_NS) == pytest.approx(seconds * SECOND_NS)


def test_a_level_that_never_changes_is_steady():
    assert Ramp.steady(5).is_steady
    assert Ramp([Way(5, 5, 3), Way(5, 5, 0)]).is_steady
    assert not UP_AND_DOWN.is_steady
    assert not Ramp([Way(0, 5, 3), Way(5, 5, 0)]).is_steady


@given(WAYS, MOMENTS)
def test_time_and_area_are_inverse(ways, elapsed_ns):
    """What is due by a moment is not due later, and what is due a start later is."""
    ramp = Ramp([*ways, Way(1, 1, 0)])
    area = ramp.area(elapsed_ns)
    assert ramp.when_ns(area) >= elapsed_ns - max(2, elapsed_ns * 1e-9)
    assert area < 0.5 or ramp.when_ns(area - 0.5) <= elapsed_ns
    assert ramp.when_ns(area + 0.5) >= elapsed_ns


@given(WAYS, st.lists(MOMENTS, min_size=2, max_size=6).map(sorted))
def test_the_area_grows_with_time_and_time_with_the_area(ways, moments):
    ramp = Ramp([*ways, Way(1, 1, 0)])
    areas = [ramp.area(moment) for moment in moments]
    slack = [area * 1e-12 for area in areas[1:]]
    assert all(later >= earlier - little for earlier, later, little in zip(areas, areas[1:], slack, strict=False))
    whens = [ramp.when_ns(float(number)) for number in range(50)]
    assert whens == sorted(whens)


@given(WAYS, LEVELS, MOMENTS)
def test_from_the_moment_a_level_is_reached_it_is_there_and_not_before(ways, level, elapsed_ns):
    ramp = Ramp(ways)
    at_ns = ramp.reaches_ns(level, elapsed_ns)
    assert at_ns >= elapsed_ns
    little = 1e-6 * max(1.0, level)
    if at_ns < NEVER_NS:
        assert ramp.at(at_ns) >= level - little
    if elapsed_ns < at_ns:
        last_ns = min(at_ns, elapsed_ns + 600_000 * SECOND_NS)
        between = [elapsed_ns + (last_ns - 2 - elapsed_ns) * step // 16 for step in range(17)]
        assert all(ramp.at(moment) < level + little for moment in between if elapsed_ns <= moment)
