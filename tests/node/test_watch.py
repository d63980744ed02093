"""A watch that fails to look: once is left out and said, again and again means that the run is no longer seen."""

import pytest

from stressd.node.watch import BLIND_AFTER, Watch


class Failing(Watch):
    """A watch of nothing, whose samples fail as often as it is told."""

    def __init__(self, fails):
        self._failed_in_a_row = 0
        self._fails = iter(fails)

    def _sample(self):
        if next(self._fails):
            raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    ("fails", "blind"),
    [
        ([True] * BLIND_AFTER, True),
        ([True] * (BLIND_AFTER - 1), False),
        ([*[True] * (BLIND_AFTER - 1), False, True], False),
    ],
)
def test_a_watch_is_blind_after_some_samples_in_a_row_that_failed(fails, blind, caplog):
    watch = Failing(fails)
    for _ in fails:
        watch._look()
    assert watch.blind == blind
    assert caplog.text.count("a sample failed and is left out") == sum(fails)
