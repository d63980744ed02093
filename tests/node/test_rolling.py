import pytest

from stressd.node.rolling import KEPT, Rolling
from stressd.scenario import Scenario
from stressd.stats.table import Table, column

MIX = {"save": 1, "read": 1}
POOLS = [{"name": "a", "processes": 2, "mix": MIX}, {"name": "b", "threads": 2, "mix": MIX}]
SAVED, SLOTS = column("operations_total", "save", "ok"), {"a": slice(0, 2), "b": slice(2, 4)}
SPAN_S = 120.0


@pytest.fixture
def table(tmp_path):
    return Table.create(str(tmp_path / "table"), 4)


def test_the_difference_is_what_the_last_span_counted_by_pool(table):
    rolling = Rolling(Scenario.model_validate({"name": "two", "pools": POOLS}), SPAN_S)
    for second in range(600):
        rolling.take(float(second), table.snapshot())
        for lane in range(4):
            table.row(lane)[SAVED] += lane + 1
        if second == SPAN_S - 1:
            assert rolling.earlier() is None, "the span is not covered yet"
    counted = rolling.collapsed(table.snapshot()) - rolling.earlier()
    lived_s = 600 - (590 - SPAN_S)
    assert counted.rows(SLOTS["a"]).total("operations_total", "save", "ok") == 3 * lived_s
    assert counted.rows(SLOTS["b"]).total("operations_total", "save", "ok") == 7 * lived_s
    assert counted.total("operations_total", "save", "ok") == 10 * lived_s
    assert len(rolling._kept) == KEPT + 1
