"""A level over time: straight from point to point, then as it was last. Pure; any thread.

The level is starts a second in the open model, lanes at work in the closed one. Times are nanoseconds after the load
began. The area under the level counts starts.
"""

from bisect import bisect_right
from collections.abc import Iterable
from math import ceil, inf, sqrt
from typing import Final, NamedTuple, Self

NEVER_NS: Final = 2**63 - 1
SECOND_NS: Final = 1_000_000_000


class Way(NamedTuple):
    """From `level` to `target` in so many seconds; at once if that is 0."""

    level: float
    target: float
    duration_s: float


class _Segment(NamedTuple):
    begin_ns: int
    level: float
    slope: float  # a second
    area: float  # up to its begin


class Ramp:
    """The level along some ways, one after the other; the last one's target stays."""

    def __init__(self, ways: Iterable[Way]) -> None:
        self._lay([], 0, 0.0, ways)

    def then(self, from_ns: int, ways: Iterable[Way]) -> "Ramp":
        """Return the ramp that goes on along other ways from a moment on; up to it nothing changes."""
        ramp = Ramp(())
        before = [segment for segment in self._segments if segment.begin_ns < from_ns]
        ramp._lay(before, from_ns, self.area(from_ns), ways)
        return ramp

    def _lay(self, before: list[_Segment], begin_ns: int, area: float, ways: Iterable[Way]) -> None:
        self._segments = before
        target = 0.0
        for level, target, duration_s in ways:
            length_ns = round(duration_s * SECOND_NS)
            if length_ns <= 0:
                continue
            self._segments.append(_Segment(begin_ns, level, (target - level) * SECOND_NS / length_ns, area))
            begin_ns += length_ns
            area += (level + target) / 2 * length_ns / SECOND_NS
        self._segments.append(_Segment(begin_ns, target, 0.0, area))
        self._begins_ns = [segment.begin_ns for segment in self._segments]
        self._areas = [segment.area for segment in self._segments]

    @classmethod
    def steady(cls, level: float) -> Self:
        """Return the same level for ever."""
        return cls([Way(level, level, 0.0)])

    @property
    def is_steady(self) -> bool:
        """Whether the level never changes."""
        return len({segment.level for segment in self._segments}) == 1 and not any(s.slope for s in self._segments)

    def at(self, elapsed_ns: int) -> float:
        """Return the level at a moment."""
        begin_ns, level, slope, _ = self._segment_at(elapsed_ns)
        return max(0.0, level + slope * (elapsed_ns - begin_ns) / SECOND_NS)

    def area(self, elapsed_ns: int) -> float:
        """Return the area up to a moment: how many starts are due by then."""
        if elapsed_ns <= 0:
            return 0.0
        begin_ns, level, slope, area = self._segment_at(elapsed_ns)
        seconds = (elapsed_ns - begin_ns) / SECOND_NS
        return area + seconds * (level + slope * seconds / 2)

    def when_ns(self, area: float) -> int:
        """Return the last moment at which the area is not above this one: what is due then does not fall into a pause.

        NEVER_NS if there is none.
        """
        index = bisect_right(self._areas, area) - 1
        begin_ns, level, slope, before = self._segments[index]
        # The root of level·t + slope·t²/2 = area - before, in the form that loses no digits where the slope is small.
        twice = 2 * (area - before)
        divisor = level + sqrt(max(0.0, level * level + slope * twice))
        if not divisor:
            return begin_ns if slope > 0 else NEVER_NS
        return min(begin_ns + int(min(twice * SECOND_NS / divisor, NEVER_NS)), self._end_ns(index))

    def reaches_ns(self, level: float, elapsed_ns: int) -> int:
        """Return the first moment, from `elapsed_ns` on, at which the level is not below this one; or NEVER_NS."""
        for index in range(self._index_at(elapsed_ns), len(self._segments)):
            begin_ns, first, slope, _ = self._segments[index]
            from_ns = max(begin_ns, elapsed_ns)
            if first + slope * (from_ns - begin_ns) / SECOND_NS >= level:
                return from_ns
            after_ns = (level - first) / slope * SECOND_NS if slope > 0 else inf
            if after_ns < NEVER_NS and (at_ns := begin_ns + ceil(after_ns)) < self._end_ns(index):
                return max(from_ns, at_ns)
        return NEVER_NS

    def _end_ns(self, index: int) -> int:
        return self._begins_ns[index + 1] if index + 1 < len(self._begins_ns) else NEVER_NS

    def _index_at(self, elapsed_ns: int) -> int:
        return max(0, bisect_right(self._begins_ns, elapsed_ns) - 1)

    def _segment_at(self, elapsed_ns: int) -> _Segment:
        return self._segments[self._index_at(elapsed_ns)]
