import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.criteria import BY_NAME
from stressd.errors import ExitCode, ScenarioError, UsageError
from stressd.metrics import FAULTS
from stressd.options import Overrides, Setting
from stressd.scenario import Fault, Scenario, Threshold
from stressd.scenario_file import Loaded, builtins, dump, expand_secrets, load, resolve
from stressd.scenario_file.yaml_tree import NotReadable, read, write

NAMES = tuple(name for name, _ in builtins())
NAME_RULE = "write a few lower-case letters, digits and _, a letter first"
POOL_KEYS = "arrival, keys, max_late_s, mix, name, processes, rate, stages, think_time_s, threads"
POOL = "pools: [{name: a, mix: {save: 1}}]\n"


@pytest.fixture
def scenario_of(tmp_path):
    """The scenario of a text, as a file's."""

    def make(text, overrides=None, name="my.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return resolve(load(str(path)), overrides)

    return make


@pytest.fixture
def mistakes_of(scenario_of, tmp_path):
    """Every mistake in a text, the folder cut off."""

    def make(text, overrides=None, name="my.yaml"):
        with pytest.raises(ScenarioError) as caught:
            scenario_of(text, overrides, name)
        assert caught.value.exit_code is ExitCode.USAGE
        assert str(caught.value).count("\n") == len(caught.value.mistakes) - 1
        return [mistake.removeprefix(f"{tmp_path}/") for mistake in caught.value.mistakes]

    return make


def setting(*pairs):
    return Overrides(settings=tuple(Setting(*pair.split("=", 1)) for pair in pairs))


def soak_mistakes(overrides):
    with pytest.raises(ScenarioError) as caught:
        resolve(load("soak"), overrides)
    return caught.value.mistakes


# --- Those that come with stressd ------------------------------------------------------------------


def test_all_scenarios_are_there():
    expected = "soak acceptance smoke cache chaos concurrency generation max memory stability storage"
    assert tuple(expected.split()) == NAMES
    assert all(description for _, description in builtins())


@pytest.mark.parametrize("name", NAMES)
def test_each_is_valid_under_its_own_name_and_comes_back_from_its_dump(name, scenario_of):
    scenario = resolve(load(name))
    assert scenario.name == name
    assert scenario_of(dump(scenario)) == scenario
    assert Scenario.model_validate_json(scenario.model_dump_json(by_alias=True)) == scenario
    assert Scenario.model_validate(scenario.model_dump()) == scenario


def test_the_soak_is_an_endless_paced_load_that_saves_every_key_often_enough():
    soak = resolve(load("soak"))
    assert soak.duration_s is None
    assert soak.paced
    assert soak.lanes == 4
    (pool,), mix = soak.pools, soak.pools[0].mix
    saves_per_key = pool.rate * 180 * mix.save / sum(mix.model_dump().values()) / (soak.lanes * soak.keys_per_lane)
    assert saves_per_key >= 20
    assert mix.read_store / (mix.read + mix.read_store) >= 0.3
    assert soak.faults[0].starts_s(180) == 90


def test_max_is_not_paced_and_the_probes_need_no_pools():
    assert not resolve(load("max")).paced
    assert [name for name in NAMES if not resolve(load(name)).pools] == [
        *("cache", "concurrency", "generation", "memory", "storage"),
    ]
    assert len(resolve(load("acceptance")).probes.before) == 5


# --- Finding and reading a file --------------------------------------------------------------------


def test_a_file_is_meant_by_a_slash_or_an_ending_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("soak", "mine", "mine.yml"):
        (tmp_path / name).write_text(f"name: from_file\n{POOL}")
    assert load("soak").data["name"] == "soak"
    assert load("./soak").data["name"] == "from_file"
    assert resolve(load("mine.yml")).name == "from_file"
    with pytest.raises(UsageError, match=r"no scenario 'mine': .*is meant by \./mine .*stressd scenarios lists"):
        load("mine")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UsageError, match=r"there is no scenario 'soka': did you mean soak\?"):
        load("soka")


@pytest.mark.parametrize("path", ["nowhere/x.yaml", "./", "a\0b.yaml"])
def test_a_file_that_cannot_be_read_is_a_usage_error(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot be read: "):
        load(path)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("name: a\nname: b\n", "2: the key name stands here twice, first in line 1"),
        ("name: a\npools: [\n", "3: no YAML: "),
        (
            "\n!!python/object/apply:os.system [echo]\n",
            "2: the tag python/object/apply:os.system is not allowed",
        ),
        ("a: !mine x\n", "1: the tag !mine is not allowed"),
        ("a: 1\n--- \nb: 1\n", "2: a second document begins here"),
        ("a:\n  - &b [*b]\n", "2: *b stands for nothing that ended before it"),
        ("a: yes\n", "1: yes is text to some and true or false to others; write true, false or 'yes'"),
        ("? [a]\n: 1\n", "1: a key must be plain text"),
        ("a: " + "[" * 40 + "]" * 40, "1: nested deeper than 32 levels"),
        ("a: " + "9" * 5_000, "1: a number of too many digits"),
        ('a: "\\ud800"', "1: half of a surrogate pair"),
        ("a: \x00", "1: no YAML: the character U+0000 may not stand here"),
        ("", " is empty"),
        ("- a\n", " is no mapping"),
    ],
)
def test_what_is_no_yaml_of_ours_is_one_message_with_its_line(text, mistake, mistakes_of):
    (told,) = mistakes_of(text)
    assert told.startswith(f"my.yaml:{mistake}")


def test_a_bomb_of_aliases_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(NotReadable, match="more than 50000 values, aliases counted in full"):
        read("\n".join(lines))


def test_a_large_file_is_refused(tmp_path):
    (tmp_path / "big.yaml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        load(str(tmp_path / "big.yaml"))


def test_another_encoding_is_named_with_its_line(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("name: a\ndescription: Größe\n".encode("latin-1"))
    with pytest.raises(ScenarioError, match=r"latin\.yaml:2: not UTF-8"):
        load(str(tmp_path / "latin.yaml"))


def test_aliases_work_and_share_nothing(scenario_of):
    text = "name: a\npools:\n  - {name: a, mix: &m {save: 1, read: 2}}\n  - {name: b, mix: *m}\n"
    scenario = scenario_of(text, setting("pools.b.mix.read=9"))
    assert [pool.mix.read for pool in scenario.pools] == [2, 9]


def test_json_with_tabs_and_escapes_is_read(scenario_of):
    data = {
        "name": "j",
        "description": "😀 ok",
        "pools": [{"name": "a", "mix": {"save": 1}}],
        "duration_s": 1.5,
    }
    scenario = scenario_of(json.dumps(data, indent="\t"), name="run.json")
    assert (scenario.description, scenario.duration_s) == ("😀 ok", 1.5)


text_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text_values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text_values, inner, max_size=4),
    max_leaves=12,
)


@given(plain_values)
def test_what_is_written_is_read_back(value):
    assert read(write(value)).value == value


@given(st.text(st.sampled_from("ab:-[]{},&*!|>'\"%@`#? \n\t019.\\xuU~<=\x85\ufeff")) | st.text())
def test_no_text_breaks_the_reader(text):
    line = 1
    try:
        read(text)
    except NotReadable as error:
        line = error.line
    assert 1 <= line <= len(re.findall("[\n\r\x85\u2028\u2029]", text)) + 1


# --- Mistakes --------------------------------------------------------------------------------------


def test_all_mistakes_at_once_each_with_place_value_and_way_out(mistakes_of):
    text = """\
name: x
duration_s: 0
warmup_s: soon
content:
  rows: [9, 1]
pools:
  - name: readers
    rate: -5
    threads: 300
    mix: {read: 1, raed: 2, save: true}
  - {name: A, mix: {}, processes: 2.5}
  - {name: c, mix: {save: 1}, rate: 3, think_time_s: 20ms, tempo: 1}
probes: {before: [cash], after: cache}
criteria:
  omit: [cpu_at_rst]
  thresholds:
    error_rate: {pass: 5, fail: 1}
    save_throughput: {pass: 1, fail: 2}
    degradatn: {pass: 1, fail: 2}
faults:
  - {kind: target_errors, at: 120%, every_s: 0}
"""
    assert mistakes_of(text) == [
        "my.yaml:2: duration_s: 0 is not above 0; leave it out to run until told to stop",
        "my.yaml:3: warmup_s: 'soon' is no length of time; write 180, 20ms, 90s, 3m or 24h",
        "my.yaml:5: content.rows: 9 to 1 is the wrong way round; write [1, 9]",
        "my.yaml:8: pools[0].rate: -5 is below 0; use 0 to pause",
        "my.yaml:9: pools[0].threads: 300 is above 256; that is the most",
        "my.yaml:10: pools[0].mix.save: true is a truth value; a number is needed",
        "my.yaml:10: pools[0].mix.raed: there is no such key; did you mean read?",
        f"my.yaml:11: pools[1].name: 'A' is no name; {NAME_RULE}",
        "my.yaml:11: pools[1].processes: 2.5 is a number; a whole number is needed",
        "my.yaml:11: pools[1].mix: at least one operation needs a weight above 0",
        f"my.yaml:12: pools[2].tempo: there is no such key; there are {POOL_KEYS}",
        "my.yaml:13: probes.before[0]: 'cash' is not known; did you mean cache?",
        "my.yaml:13: probes.after: 'cache' is text; a list is needed, as in [a, b]",
        "my.yaml:15: criteria.omit[0]: 'cpu_at_rst' is no criterion; did you mean cpu_at_rest?",
        "my.yaml:19: criteria.thresholds.degradatn: 'degradatn' is no criterion; did you mean degradation?",
        "my.yaml:21: faults[0].at: '120%' is no time; write a moment (90s) or a share of the duration (50%)",
        "my.yaml:21: faults[0].every_s: 0 is not above 0; write more",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (POOL, "name: is missing; every scenario has one"),
        ("name: a\n", "nothing to do: neither pools nor probes"),
        ("name: a\npools: [{name: a, mix: {read: 1}}]", "2: pools: nothing is ever saved or generated"),
        (
            "name: a\npools: [{name: a}]",
            "2: pools[0].mix: is missing; write how often each operation is drawn",
        ),
        (
            "name: a\npools:\n- {name: b, mix: {save: 1}}\n- {name: b, mix: {save: 1}}",
            "4: pools[1].name: 'b' stands",
        ),
        ("name: a\npools: [{name: probe, mix: {save: 1}}]", "2: pools[0].name: 'probe' is taken"),
        (
            "name: a\npools:\n- {name: b, mix: {save: 1}, rate: 1,\n   think_time_s: 1}",
            "4: pools[0].think_time_s: rate",
        ),
        (f"name: a\ntarget: memory\n{POOL}", "2: target: 'memory' is text; a mapping is needed"),
        (
            f"name: a\ncontent: {{names: [basic, texxt]}}\n{POOL}",
            "2: content.names[1]: 'texxt' is no feature group",
        ),
        (f"name: a\ncontent: {{names: 9999}}\n{POOL}", "2: content.names: 9999 names; from 1 to 1000"),
        (
            f"name: a\ncontent: {{rows: [1, 2, 3]}}\n{POOL}",
            "2: content.rows: 3 values; write one number, or two",
        ),
        (
            f"name: a\nfaults: [{{kind: quake}}]\n{POOL}",
            "2: faults[0].kind: 'quake' is not known; there are disk_full",
        ),
        (
            f"name: a\nfaults: [{{kind: target_errors, every_s: 2, duration_s: 3}}]\n{POOL}",
            "2: faults[0].every_s: 2 s is not longer than the fault's own 3 s",
        ),
        (f"name: a\nwarmup_s: .inf\n{POOL}", "2: warmup_s: inf is not finite"),
        (f"name: a\nsupervision:\n{POOL}", "2: supervision: null is nothing; a mapping is needed"),
        (
            f"name: a\ncriteria: {{thresholds: {{error_rate: {{pass: 5, fail: 1}}}}}}\n{POOL}",
            "2: criteria.thresholds.error_rate: pass 5, fail 1: less is better: pass may not be above fail",
        ),
        (
            f"name: a\ncriteria: {{thresholds: {{read_throughput: {{pass: 1, fail: 5}}}}}}\n{POOL}",
            "2: criteria.thresholds.read_throughput: pass 1, fail 5: more is better",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(text, mistake, mistakes_of):
    (told,) = mistakes_of(text)
    assert mistake in told


@pytest.mark.parametrize("name", BY_NAME)
def test_a_threshold_may_stand_where_it_stands_today(name):
    lines = BY_NAME[name].pass_line.bound, BY_NAME[name].fail_line.bound
    moved = Threshold(**dict(zip(("pass", "fail"), lines, strict=True)))
    scenario = Scenario(name="a", probes={"before": ["cache"]}, criteria={"thresholds": {name: moved}})
    assert scenario.criteria.thresholds[name] == moved


@pytest.mark.parametrize(
    ("fault", "mistake"),
    [
        ("{kind: pause, every_s: 5, per_minute: 5}", "faults[0].per_minute: every_s and per_minute exclude"),
        ("{kind: pause, duration_s: [9, 1]}", "faults[0].duration_s: 9 to 1 is the wrong way round; write [1, 9]"),
        ("{kind: pause, duration_s: [1, 2, 3]}", "faults[0].duration_s: 3 values; write one number, or two"),
        ("{kind: pause, duration_s: 0}", "faults[0].duration_s[0]: 0 is not above 0"),
        ("{kind: disk_full, every_s: 5, duration_s: [1, 6]}", "faults[0].every_s: 5 s is not longer than"),
        ("{kind: slow_target, delay_s: 1m}", "faults[0].delay_s: '1m' is above 10"),
        ("{kind: worker_kill, until: never}", "faults[0].until: 'never' is no time"),
        ("{kind: worker_kill, per_minute: 0}", "faults[0].per_minute: 0 is not above 0"),
    ],
)
def test_a_mistake_in_a_fault_is_told(fault, mistake, mistakes_of):
    told = mistakes_of(f"name: a\nfaults: [{fault}]\n{POOL}")
    assert mistake in told[0]


def test_faults_of_one_worker_may_overlap():
    for kind in ("worker_kill", "pause"):
        assert Fault(kind=kind, every_s=1, duration_s=[1, 10]).duration_s == (1, 10)


def test_chaos_leaves_time_to_recover_from_its_last_fault():
    chaos = resolve(load("chaos"))
    assert {fault.kind for fault in chaos.faults} == set(FAULTS)
    for fault in chaos.faults:
        last_s = fault.ends_s(chaos.duration_s) + (0 if fault.kind == "worker_kill" else fault.duration_s[1])
        assert last_s + fault.recover_s < chaos.duration_s
    kills = chaos.faults[0]
    assert (kills.ends_s(chaos.duration_s) - kills.starts_s(chaos.duration_s)) / kills.every_s >= 50


def test_faults_have_moments():
    assert Fault(kind="target_errors", at="50%").starts_s(180) == 90
    assert Fault(kind="target_errors", at="50%").starts_s(None) is None
    assert Fault(kind="target_errors", at="90s").starts_s(None) == 90
    assert Fault(kind="target_errors", at=7).starts_s(None) == 7


# --- What the command line changes -----------------------------------------------------------------


def test_set_reaches_every_part():
    scenario = resolve(
        load("soak"),
        setting(
            *("pools[0].threads=3", "pools.mixed.max_late_s=20ms", "content.rows=[50, 150]", "faults=[]"),
            *("target.options.cache_max_size=7", "target.options.new={a: [1]}", "supervision.hang_s=1m"),
            *("probe_settings.storage_shapes[1][0]=77", "criteria.thresholds.error_rate={pass: 2, fail: 4}"),
            *("probes.before=", "probes={after: [memory]}"),
        ),
    )
    assert (scenario.pools[0].threads, scenario.pools[0].max_late_s) == (3, 0.02)
    assert (scenario.content.rows, scenario.faults, scenario.supervision.hang_s) == ((50, 150), (), 60)
    assert scenario.target.options["cache_max_size"] == 7
    assert scenario.target.options["new"] == {"a": [1]}
    assert scenario.probe_settings.storage_shapes == ((1_000, 10), (77, 20), (10_000, 30))
    assert scenario.criteria.thresholds["error_rate"].fail == 4
    assert scenario.probes.names == ("memory",)


@pytest.mark.parametrize(
    ("pair", "mistake"),
    [
        ("pools[0].rate=-5", "--set pools[0].rate: -5 is below 0; use 0 to pause"),
        ("pools.mixed.rate=x", "--set pools.mixed.rate: 'x' is text; a number is needed"),
        ("pools.mixd.rate=5", "--set pools.mixd.rate: pools has no item of that name; did you mean mixed?"),
        ("pools[7].rate=5", "--set pools[7].rate: pools has 1 items, counted from 0"),
        ("contnt.rows=5", "--set contnt.rows: there is no such key; did you mean content?"),
        ("pools.mixed.mix.raed=5", "--set pools.mixed.mix.raed: there is no such key; did you mean read?"),
        ("duration_s.x=5", "--set duration_s.x: duration_s is one value and has no parts"),
        ("warmup_s.x=5", "--set warmup_s.x: warmup_s is one value and has no parts"),
        ("a..b=5", "--set a..b: is no place in a scenario; write KEY, KEY.KEY or KEY[0].KEY"),
        ("criteria.omit=[cpu]", "--set criteria.omit: criteria.omit[0]: 'cpu' is no criterion; "),
        ("name=[", "--set name: no YAML: "),
        ("keys_per_lane=1\x002", "--set keys_per_lane: no YAML: the character U+0000"),
    ],
)
def test_a_mistake_in_set_names_the_option(pair, mistake):
    (told,) = soak_mistakes(setting(pair))
    assert told.startswith(mistake)


def test_mistakes_of_the_file_and_of_options_come_together(mistakes_of):
    overrides = Overrides(
        settings=(Setting("pools.a.rate", "-1", "STRESSD_SET"), Setting("nam", "x")),
        target_options=(Setting("password", "*hunter2", "--target-option"),),
    )
    told = mistakes_of(f"name: 5\n{POOL}", overrides)
    assert told == [
        "my.yaml:1: name: 5 is a number; text is needed; put it in quotes if it is meant as text",
        "--set nam: there is no such key; did you mean name?",
        "--target-option password: the value cannot be read as YAML; put text in quotes: KEY='\"…\"'",
        "STRESSD_SET pools.a.rate: -1 is below 0; use 0 to pause",
    ]


def test_another_target_does_not_get_the_scenarios_options():
    option = (Setting("size", "[1, a]", "--target-option"),)
    other = resolve(load("soak"), Overrides(target="memory", target_options=option))
    assert (other.target.name, other.target.options) == ("memory", {"size": [1, "a"]})
    same = resolve(load("soak"), Overrides(target="embedded", target_options=option))
    assert same.target.options == {**resolve(load("soak")).target.options, "size": [1, "a"]}


TWO_POOLS = """\
name: two
pools:
  - {name: readers, processes: 2, threads: 3, rate: 30, mix: {read: 9, scrub: 1}}
  - {name: writers, threads: 2, rate: 10, max_late_s: 9, mix: {save: 4}}
"""


def test_duration_wins_over_the_scenario(scenario_of):
    assert scenario_of(TWO_POOLS + "duration_s: 3m\n", Overrides(duration_s=7)).duration_s == 7
    assert scenario_of(TWO_POOLS + "duration_s: 3m\n").duration_s == 180


def test_processes_and_threads_make_one_pool_of_all(scenario_of):
    (pool,) = scenario_of(TWO_POOLS, Overrides(processes=4)).pools
    assert (pool.name, pool.processes, pool.threads, pool.rate, pool.max_late_s) == ("merged", 4, 1, 40, 9)
    assert pool.mix.model_dump() == {"generate": 0, "save": 25, "read": 67.5, "read_store": 0, "scrub": 7.5}
    (pool,) = resolve(load("soak"), Overrides(threads=8)).pools
    assert (pool.name, pool.processes, pool.threads, pool.rate) == ("mixed", 1, 8, 62)
    assert pool.mix == resolve(load("soak")).pools[0].mix


def test_closed_pools_are_merged_by_their_lanes(scenario_of):
    text = TWO_POOLS.replace("rate: 30", "think_time_s: 0.4").replace("rate: 10", "think_time_s: 0")
    (pool,) = scenario_of(text, Overrides(threads=2)).pools
    assert pool.rate is None
    assert pool.think_time_s == pytest.approx(0.3)
    assert pool.mix.save == 25


def test_open_and_closed_pools_become_one_only_with_a_rate(scenario_of, mistakes_of):
    text = TWO_POOLS.replace("rate: 10, ", "")
    (told,) = mistakes_of(text, Overrides(processes=2))
    assert told.startswith("--processes, --threads: some pools have a rate, some have none; say by --rate")
    (pool,) = scenario_of(text, Overrides(processes=2, rate=50)).pools
    assert pool.rate == 50


def test_a_rate_is_split_by_rates_or_else_by_lanes(scenario_of):
    def rates(text):
        return [pool.rate for pool in scenario_of(text, Overrides(rate=100)).pools]

    assert rates(TWO_POOLS) == [75, 25]
    assert rates(TWO_POOLS.replace("rate: 10", "think_time_s: 1")) == [75, 25]  # six lanes and two
    assert rates(TWO_POOLS.replace("rate: 30", "rate: 0").replace("rate: 10", "rate: 0")) == [75, 25]


def test_shaping_mistakes_name_the_option(scenario_of):
    for overrides, option in ((Overrides(rate=1), "--rate"), (Overrides(threads=2), "--threads")):
        with pytest.raises(ScenarioError, match=rf"^{option}: scenario generation has no pools"):
            resolve(load("generation"), overrides)
    with pytest.raises(ScenarioError, match=r"^--processes: 300 is above 256; that is the most"):
        resolve(load("soak"), Overrides(processes=300))


keys = st.sampled_from(
    [*Scenario.model_fields, *("rows", "mix", "rate", "read", "save", "at", "kind", "before", "omit", "x")]
)
known_words = st.sampled_from(["a", "soak", "movies", "cache", "50%", "90s", "target_errors", "basic", "-1s"])
numbers = st.integers() | st.floats() | st.sampled_from([0, 1, 2, -1, 10**400, 10**4000, 0.5])
yaml_ish = st.recursive(
    st.none() | st.booleans() | numbers | known_words | text_values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=20,
)
written_scenarios = st.builds(
    lambda name, changes: {**load(name).data, **changes},
    st.sampled_from(NAMES),
    st.dictionaries(keys, yaml_ish, max_size=3),
)
setting_keys = st.sampled_from(["pools[0].rate", "pools.a", "content", "x.y", "name", "target.options.a.b", "."])
numbers_or_none = st.none() | st.integers(1, 999) | st.floats(0.1, 1e9)
overrides_of_all_kinds = st.builds(
    Overrides,
    duration_s=numbers_or_none,
    target=st.none() | text_values,
    target_options=st.lists(st.builds(Setting, text_values, text_values), max_size=2).map(tuple),
    processes=st.none() | st.integers(1, 999),
    threads=st.none() | st.integers(1, 999),
    rate=numbers_or_none,
    settings=st.lists(st.builds(Setting, setting_keys, text_values | known_words), max_size=2).map(tuple),
)


@given(written_scenarios, overrides_of_all_kinds)
def test_whatever_is_written_it_resolves_or_is_told(data, overrides):
    try:
        scenario = resolve(Loaded("x.yaml", data, {(): 1}), overrides)
    except UsageError as error:
        told = str(error)
    else:
        told = dump(resolve(Loaded("again", read(dump(scenario)).value, {})))
        assert told == dump(scenario)
    assert told.strip()


# --- Secrets ---------------------------------------------------------------------------------------


def test_secrets_stay_text_in_the_scenario_and_are_filled_in_for_the_target(tmp_path):
    (tmp_path / "pw").write_text("s3cret\n")
    pairs = {
        "url": "redis://:${PW}@db",
        "pw": f"file:{tmp_path}/pw",
        "path": "file:///data",
        "raw": "$${PW} $5",
    }
    written = tuple(Setting(key, value, "--target-option") for key, value in pairs.items())
    scenario = resolve(load("soak"), Overrides(target="m:S", target_options=written))
    assert scenario.target.options == pairs
    assert "s3cret" not in dump(scenario)
    assert expand_secrets(scenario.target.options, {"PW": "hunter2"}) == {
        "url": "redis://:hunter2@db",
        "pw": "s3cret",
        "path": "file:///data",
        "raw": "${PW} $5",
    }
    assert expand_secrets({"a": [{"b": "${PW}"}, 5]}, {"PW": ""}) == {"a": [{"b": ""}, 5]}


def test_missing_secrets_are_named_without_values(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    options = {
        "dsn": {"pw": "x${NOPE}y"},
        "key": f"file:{tmp_path}/gone",
        "bin": f"file:{tmp_path}/binary",
        "set": "${PW}",
    }
    with pytest.raises(UsageError) as caught:
        expand_secrets(options, {"PW": "hunter2"})
    assert str(caught.value).splitlines() == [
        "target option dsn.pw: the environment variable NOPE is not set",
        f"target option key: {tmp_path}/gone cannot be read: No such file or directory",
        f"target option bin: {tmp_path}/binary is not UTF-8 text",
    ]


def test_secrets_come_from_the_real_environment_by_default(monkeypatch):
    monkeypatch.setenv("STORE_PASSWORD", "hunter2")
    assert expand_secrets({"a": "${STORE_PASSWORD}"}) == {"a": "hunter2"}
