import pytest

from stressd.node.phases import PhaseLog
from stressd.pools import Phase, Pool
from stressd.scenario import Scenario
from stressd.stats.table import Table, column

SAVED = column("operations_total", "save", "ok")
POOLS = (Pool(name="one", threads=2, mix={"save": 1}), Pool(name="two", mix={"save": 1}))


@pytest.fixture
def table(tmp_path):
    return Table.create(str(tmp_path / "table"), 4)


@pytest.fixture
def follow(table):
    """Let each lane count one operation a second, lane 2 ten; return the records as a load of `end_s` leaves them."""

    def run(end_s, **scenario):
        log, names = PhaseLog(Scenario(name="a", pools=POOLS, **scenario)), []
        for second in range(1, end_s + 1):
            for lane in range(4):
                table.row(lane)[SAVED] += 10 if lane == 2 else 1
            log.turn(float(second), table.snapshot)
            names.append(log.name)
        records = log.records(float(end_s), table.snapshot())
        return names, [(each.name, each.warmup, each.from_s, each.until_s, saves(each)) for each in records]

    return run


def saves(record):
    return tuple(counted.total("operations_total", "save", "ok") for counted in record.pools.values())


def test_without_phases_the_load_is_one_and_its_warm_up_another(follow):
    names, records = follow(30, warmup_s=10)
    assert records == [("load", True, 0, 10, (20, 100)), ("load", False, 10, 30, (40, 200))]
    assert set(names) == {""}


def test_a_load_that_is_not_over_and_one_without_warm_up(follow):
    assert follow(5, warmup_s=10)[1] == [("load", True, 0, 5, (10, 50))]


def test_no_warm_up_makes_no_part_of_its_own(follow):
    assert follow(5, warmup_s=0)[1] == [("load", False, 0, 5, (10, 50))]


def test_each_phase_counts_for_itself_and_the_one_that_warms_up_is_cut(follow):
    phases = [Phase(name="fill", duration_s=4), Phase(name="work", duration_s=10), Phase(name="rest")]
    names, records = follow(20, warmup_s=6, phases=phases)
    assert records == [
        ("fill", True, 0, 4, (8, 40)),
        ("work", True, 4, 6, (4, 20)),
        ("work", False, 6, 14, (16, 80)),
        ("rest", False, 14, 20, (12, 60)),
    ]
    assert names == ["fill"] * 3 + ["work"] * 10 + ["rest"] * 7


def test_the_last_phase_goes_on_where_the_load_does(follow):
    phases = [Phase(name="a", duration_s=2), Phase(name="b", duration_s=2)]
    _, records = follow(10, warmup_s=0, duration_s=99, phases=phases)
    assert [(name, until_s) for name, _, _, until_s, _ in records] == [("a", 2), ("b", 10)]


def test_it_says_when_to_look_again(table):
    log = PhaseLog(Scenario(name="a", pools=POOLS, warmup_s=3))
    assert log.border_s == 3
    log.turn(3.02, table.snapshot)
    assert log.border_s == float("inf")
