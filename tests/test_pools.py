"""The load of a scenario: what may be written, what it means, and what is told of mistakes."""

import pytest

from stressd.errors import ScenarioError
from stressd.options import Overrides, Setting
from stressd.pools import Keys, Pool, PoolChange
from stressd.scenario import Scenario
from stressd.scenario_file import dump, load, resolve

HEAD = "name: a\n"
OPEN = "{name: main, threads: 4, rate: 10, mix: {save: 1, read: 9}}"
CLOSED = "{name: main, threads: 4, mix: {save: 1, read: 9}}"


@pytest.fixture
def scenario_of(tmp_path):
    def make(text, overrides=None):
        path = tmp_path / "my.yaml"
        path.write_text(HEAD + text, encoding="utf-8")
        return resolve(load(str(path)), overrides)

    return make


@pytest.fixture
def mistakes_of(scenario_of, tmp_path):
    def make(text, overrides=None):
        with pytest.raises(ScenarioError) as caught:
            scenario_of(text, overrides)
        return [mistake.removeprefix(f"{tmp_path}/") for mistake in caught.value.mistakes]

    return make


WHOLE = f"""\
pools:
  - {OPEN}
  - name: readers
    threads: 2
    think_time_s: 20ms
    keys: {{distribution: hotspot, hot_keys: 0.1}}
    mix: {{read: 1}}
phases:
  - name: fill
    duration_s: 10s
    pools: {{main: {{mix: {{save: 1}}}}, readers: {{stages: [{{duration_s: 5, target: 2}}]}}}}
  - {{name: spike, duration_s: 1m, pools: {{main: {{rate: 50, stages: [{{duration_s: 0, target: 90}}]}}}}}}
"""


def test_all_of_it_comes_back_from_its_dump(scenario_of):
    scenario = scenario_of(WHOLE)
    again = dump(scenario).removeprefix(HEAD)
    assert scenario_of(again) == scenario
    assert Scenario.model_validate_json(scenario.model_dump_json(by_alias=True)) == scenario


# --- Keys ------------------------------------------------------------------------------------------


def test_a_distribution_may_stand_for_its_keys_and_shows_its_parameters(scenario_of):
    keys = scenario_of(f"pools: [{CLOSED.replace('mix', 'keys: zipfian, mix')}]").pools[0].keys
    assert keys == Keys(distribution="zipfian", theta=0.99)
    assert Keys(distribution="hotspot", hot_reads=0.5) == Keys(distribution="hotspot", hot_keys=0.2, hot_reads=0.5)
    assert Keys() == Keys(distribution="uniform")


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("zipf", "keys.distribution: 'zipf' is not known; did you mean zipfian?"),
        ("{distribution: uniform, theta: 0.5}", "keys.theta: is no parameter of uniform; it has none: leave it out"),
        ("{distribution: zipfian, hot_keys: 0.5}", "keys.hot_keys: is no parameter of zipfian; it has theta"),
        (
            "{distribution: hotspot, theta: 0.5}",
            "keys.theta: is no parameter of hotspot; it has hot_keys and hot_reads",
        ),
        ("{distribution: zipfian, theta: 1}", "keys.theta: 1 is not below 1; write less"),
        ("{distribution: hotspot, hot_keys: 0}", "keys.hot_keys: 0 is not above 0; write more"),
        ("[zipfian]", "keys: this is a list; a mapping is needed, as in {key: value}"),
    ],
)
def test_mistakes_in_keys(keys, mistake, mistakes_of):
    (told,) = mistakes_of(f"pools: [{CLOSED.replace('mix', f'keys: {keys}, mix')}]")
    assert told == f"my.yaml:2: pools[0].{mistake}"


# --- Stages and arrivals ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pool", "mistake"),
    [
        (f"{CLOSED[:-1]}, arrival: poisson}}", "arrival: poisson arrivals need a rate; without one, operations start"),
        (f"{OPEN[:-1]}, arrival: random}}", "arrival: 'random' is not known; there are constant, poisson"),
        (f"{CLOSED[:-1]}, stages: [{{duration_s: 1, target: 5}}]}}", "stages[0].target: 5 is more than the 4 lanes"),
        (f"{CLOSED[:-1]}, stages: [{{duration_s: 1, target: 2.5}}]}}", "stages[0].target: 2.5 is no number of lanes"),
        (f"{OPEN[:-1]}, stages: [{{target: 5}}]}}", "stages[0].duration_s: is missing; write how long it takes to get"),
        (
            f"{OPEN[:-1]}, stages: [{{duration_s: 5}}]}}",
            "stages[0].target: is missing; write operations a second where",
        ),
        (f"{OPEN[:-1]}, stages: [{{duration: 5, target: 1, duration_s: 1}}]}}", "stages[0].duration: there is no such"),
        (f"{OPEN[:-1]}, stages: [{{duration_s: 5, target: -1}}]}}", "stages[0].target: -1 is below 0"),
        (f"{OPEN[:-1]}, stages: 5}}", "stages: 5 is a number; a list is needed, as in [a, b]"),
    ],
)
def test_mistakes_in_a_pools_course(pool, mistake, mistakes_of):
    (told,) = mistakes_of(f"pools: [{pool}]")
    assert told.startswith(f"my.yaml:2: pools[0].{mistake}")


# --- Phases ----------------------------------------------------------------------------------------


def phases(*each, pool=OPEN):
    return f"pools: [{pool}]\nphases: [{', '.join(each)}]"


FILL = "{name: fill, duration_s: 10, pools: {main: {mix: {save: 1}}}}"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (phases("{duration_s: 1}"), "phases[0].name: is missing; every phase has one"),
        (phases("{name: A, duration_s: 1}"), "phases[0].name: 'A' is no name"),
        (
            phases("{name: a}", "{name: b}"),
            "phases[0].duration_s: is missing; only the last phase may go on to the end",
        ),
        (phases(FILL, FILL), "phases[1].name: 'fill' stands there twice; each phase needs a name of its own"),
        (
            phases("{name: a, pools: {mian: {rate: 1}}}"),
            "phases[0].pools.mian: there is no such pool; did you mean main?",
        ),
        (
            phases("{name: a, pools: {main: {threads: 1}}}"),
            "phases[0].pools.main.threads: there is no such key; there are",
        ),
        (
            phases("{name: a, pools: {main: {mix: {raed: 1}}}}"),
            "phases[0].pools.main.mix.raed: there is no such key; did you mean read?",
        ),
        (
            phases("{name: a, pools: {main: {stages: [{duration_s: 1, target: 1, targets: 1}]}}}"),
            "phases[0].pools.main.stages[0].targets: there is no such key; did you mean target?",
        ),
        (
            phases("{name: a, pools: {main: {mix: {}}}}"),
            "phases[0].pools.main.mix: at least one operation needs a weight",
        ),
        (
            phases("{name: a, pools: {main: {think_time_s: 1}}}"),
            "phases[0].pools.main.think_time_s: the pool has a rate, and needs no think time; the model stays the same",
        ),
        (
            phases("{name: a, pools: {main: {rate: 5}}}", pool=CLOSED),
            "phases[0].pools.main.rate: the pool has none, so that its operations start one after the other; the model",
        ),
        (
            phases("{name: a, duration_s: 1m, pools: {main: {stages: [{duration_s: 90, target: 1}]}}}"),
            "phases[0].pools.main.stages: take 90 s, longer than the 60 s of the phase",
        ),
        (
            phases("{name: a, pools: {main: {stages: [{duration_s: 9, target: 5}]}}}", pool=CLOSED),
            "phases[0].pools.main.stages[0].target: 5 is more than the 4 lanes of the pool",
        ),
        (
            phases("{name: a}", pool=f"{OPEN[:-1]}, stages: [{{duration_s: 9, target: 5}}]}}"),
            "pools[0].stages: stand beside phases, which begin anew; write them into the phases",
        ),
        (
            phases("{name: a, pools: {main: {mix: {read: 1}}}}"),
            "pools: nothing is ever saved or generated, so there is nothing to read",
        ),
        (
            f"probes: {{before: [cache]}}\nphases: [{FILL.partition(', pools')[0]}}}]",
            "phases: there are no pools that could",
        ),
        (phases(*[FILL] * 33), "phases: 33 are too many; 32 are the most"),
    ],
)
def test_mistakes_in_phases(text, mistake, mistakes_of):
    told = [line.split(": ", 1)[1] for line in mistakes_of(text)]
    assert any(line.startswith(mistake) for line in told), told
    assert len(told) <= 2


def test_a_load_ends_with_its_phases_if_they_do_and_nothing_else_is_said(scenario_of):
    assert scenario_of(WHOLE).duration_s == 70
    assert scenario_of(WHOLE + "duration_s: 20").duration_s == 20
    assert scenario_of(WHOLE, Overrides(duration_s=300)).duration_s == 300
    assert scenario_of(WHOLE.replace("duration_s: 1m, ", "")).duration_s is None
    assert scenario_of(WHOLE, Overrides(settings=(Setting("phases[0].duration_s", "30"),))).duration_s == 90


def test_a_phase_changes_what_it_says_and_no_more():
    pool = Pool(name="main", rate=10, mix={"save": 1})
    assert pool.in_phase(None) is pool
    assert pool.in_phase(PoolChange()) == pool
    assert pool.in_phase(PoolChange(rate=0)).rate == 0
    changed = pool.in_phase(PoolChange(mix={"read": 1}))
    assert (changed.rate, changed.mix.read, changed.mix.save) == (10, 1, 0)


def test_a_load_is_paced_only_if_it_is_in_every_phase(scenario_of):
    resting = CLOSED.replace("threads: 4", "threads: 4, think_time_s: 1")
    assert scenario_of(phases(FILL, pool=resting)).paced
    assert scenario_of(phases(FILL)).paced
    hurried = "{name: b, duration_s: 1, pools: {main: {think_time_s: 0}}}"
    assert not scenario_of(phases(FILL, hurried, pool=resting)).paced
    assert not scenario_of(phases(FILL, pool=CLOSED)).paced


# --- What the command line makes of it -------------------------------------------------------------


def test_a_rate_makes_arrivals_constant_in_every_phase(scenario_of):
    scenario = scenario_of(WHOLE.replace("rate: 10", "rate: 10, arrival: poisson"), Overrides(rate=60))
    assert [(pool.rate, pool.arrival, pool.stages, pool.think_time_s) for pool in scenario.pools] == [
        (40, "constant", (), 0),
        (20, "constant", (), 0),
    ]
    changes = [change for phase in scenario.phases for change in phase.pools.values()]
    assert [(change.rate, change.stages) for change in changes] == [(None, ())] * 3
    assert changes[0].mix.model_dump()["save"] == 1


def test_one_pool_keeps_its_course_when_its_size_changes(scenario_of):
    text = phases(FILL, "{name: up, pools: {main: {rate: 5, stages: [{duration_s: 9, target: 50}]}}}")
    scenario, bigger = scenario_of(text), scenario_of(text, Overrides(processes=2, threads=3))
    assert bigger.phases == scenario.phases
    (pool,), (same,) = scenario.pools, bigger.pools
    assert same == pool.model_copy(update={"processes": 2, "threads": 3})


def test_pools_are_merged_phase_by_phase(scenario_of):
    second = "{name: other, threads: 4, rate: 30, arrival: poisson, mix: {read: 1}}"
    text = phases(FILL, "{name: b, pools: {other: {rate: 10, mix: {scrub: 1}}}}", pool=f"{OPEN}, {second}")
    scenario = scenario_of(text, Overrides(threads=5))
    (pool,) = scenario.pools
    assert (pool.name, pool.lanes, pool.rate, pool.arrival) == ("merged", 5, 40, "poisson")
    fill, later = (phase.pools["merged"] for phase in scenario.phases)
    assert (fill.rate, fill.mix.save, fill.mix.read) == (40, 25, 75)
    assert (later.rate, later.mix.save, later.mix.scrub) == (20, 5, 50)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (WHOLE, "some pools have a rate, some have none; say by --rate what all have"),
        (WHOLE.replace("    think_time_s: 20ms", "    rate: 5"), "pools that read other keys cannot be merged"),
        (
            f"pools: [{OPEN}, {{name: b, rate: 1, stages: [{{duration_s: 1, target: 2}}], mix: {{read: 1}}}}]",
            "pools with stages cannot be merged; say by --rate what all have",
        ),
    ],
)
def test_pools_that_cannot_be_merged_say_why(text, why, mistakes_of):
    (told,) = mistakes_of(text, Overrides(threads=4))
    assert told.startswith(f"--processes, --threads: {why}")


def test_fewer_lanes_than_a_stage_asks_for_are_told(mistakes_of):
    (told,) = mistakes_of(f"pools: [{CLOSED[:-1]}, stages: [{{duration_s: 1, target: 4}}]}}]", Overrides(threads=2))
    assert told == "the scenario with these options: 4 is more than the 2 lanes of the pool"
