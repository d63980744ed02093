import pytest

from stressd.pools import Phase, Pool, PoolChange, Stage
from stressd.scenario import Scenario
from stressd.stats.table import Table, column
from stressd.workload.offer import Offer, Pace

SECOND_NS = 10**9
NEXT, DROPPED, LATE, MISSED = (
    column(name) for name in ("next_start", "operations_dropped_total", "operations_late_total", "starts_missed")
)
POOLS = (
    Pool(name="closed", threads=2, mix={"save": 1}),
    Pool(name="main", processes=2, threads=2, rate=100, mix={"read": 1}),
)


@pytest.fixture
def table(tmp_path):
    return Table.create(str(tmp_path / "table"), 8)


def test_what_was_begun_is_what_the_processes_took_and_did_not_give_up(table):
    offer = Offer(Scenario(name="a", pools=POOLS), 1)
    for lane, taken in ((0, 9), (2, 40), (3, 38), (4, 30), (5, 45)):  # lanes 0 and 1 are those of the closed pool
        table.row(lane)[NEXT] = taken
    for lane, dropped in ((0, 7), (2, 2), (5, 3)):
        table.row(lane)[DROPPED] = dropped
    table.row(4)[LATE], table.row(1)[LATE] = 6, 1
    assert offer.pace(table.snapshot(), SECOND_NS - 1) == Pace(due=100, begun=40 + 45 - 2 - 3, late=6)


def test_what_fell_due_without_a_process_is_left_out_on_both_sides(table):
    offer = Offer(Scenario(name="a", pools=POOLS), 1)
    row = table.row(2)
    row[NEXT], row[DROPPED], row[MISSED] = 50, 20, 20  # all that it dropped it had missed
    table.row(4)[NEXT] = 50
    assert offer.pace(table.snapshot(), SECOND_NS - 1) == Pace(due=80, begun=80, late=0)


def test_before_the_load_nothing_is_due(table):
    assert Offer(Scenario(name="a", pools=POOLS), 1).pace(table.snapshot(), -1) == Pace()


def test_poisson_starts_are_counted_as_they_fall(table):
    pool = Pool(name="main", rate=100, arrival="poisson", mix={"save": 1})
    due = [Offer(Scenario(name="a", pools=(pool,)), seed).pace(table.snapshot(), 60 * SECOND_NS).due for seed in (1, 2)]
    assert due[0] != due[1]
    assert all(abs(each - 6_000) < 500 for each in due)


def test_the_rate_follows_stages_and_phases():
    phases = (
        Phase(name="up", duration_s=10, pools={"main": PoolChange(rate=0, stages=(Stage(duration_s=10, target=50),))}),
        Phase(name="rest", pools={"main": PoolChange(rate=7)}),
    )
    offer = Offer(Scenario(name="a", pools=POOLS, phases=phases), 1)
    assert [offer.rates(s * SECOND_NS)["main"] for s in (0, 5, 10, 99)] == [0, 25, 7, 7]
    assert offer.rates(0)["closed"] == 0
