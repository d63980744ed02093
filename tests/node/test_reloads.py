"""Who asks for another scenario, and when: what is agreed on is taken once, and nothing that nobody would follow."""

import logging

import pytest
from run_records import run_record

from stressd.errors import UsageError
from stressd.node import reloading
from stressd.node.reloading import Reloads
from stressd.observe.node_metrics import NodeMetrics
from stressd.scenario import Scenario


def scenario_at(rate):
    pool = {"name": "main", "processes": 2, "rate": rate, "mix": {"save": 1, "read": 3}}
    return Scenario.model_validate({"name": "mine", "pools": [pool]})


INFO = dict.fromkeys(("version", "python", "commit", "run_id", "scenario", "target", "hash"), "x")


@pytest.fixture
def node():
    return NodeMetrics(pools={"main": 2}, criteria=[], info=INFO)


@pytest.fixture
def reloads(node):
    """Reads anew what is put into `reread`; an exception there is raised."""

    def reread():
        if isinstance(made.reread, Exception):
            raise made.reread
        return made.reread

    made = Reloads(scenario_at(20), run_record(), reread, node)
    made.reread = scenario_at(20)
    return made


def success(node):
    (value,) = node.values("reload_success").values()
    return value


def test_what_was_agreed_on_is_taken_once_with_all_that_changed_since_the_last(reloads, node):
    for rate in (30, 40):
        reloads.reread = scenario_at(rate)
        assert reloads.ask().well
    scenario, changes = reloads.take()
    assert scenario.pools[0].rate == 40
    assert list(changes) == ["pools.main.rate: 20 -> 30", "pools.main.rate: 30 -> 40"]
    assert reloads.take() is None
    assert reloads.ask() == (True, ("nothing changed",))
    assert success(node) == 1


def test_what_cannot_be_read_changes_nothing(reloads, node, caplog):
    reloads.reread = UsageError("mine.yaml: no such file")
    assert reloads.ask() == (False, ("mine.yaml: no such file",))
    assert success(node) == 0
    assert reloads.take() is None
    assert "what ran goes on unchanged" in caplog.text


def test_after_the_load_a_reload_is_refused_and_what_came_too_late_is_said(reloads, node, caplog):
    reloads.reread = scenario_at(30)
    assert reloads.ask().well
    with caplog.at_level(logging.WARNING):
        reloads.end()
    assert "came too late, and was not taken over: pools.main.rate: 20 -> 30" in caplog.text
    assert reloads.take() is None
    reloads.reread = scenario_at(50)
    well, lines = reloads.ask()
    assert not well
    assert "the load has ended" in lines[0]
    assert success(node) == 0


def test_a_run_follows_so_many_reloads_and_no_more(reloads, monkeypatch):
    monkeypatch.setattr(reloading, "MOST", 2)
    for rate in (30, 40):
        reloads.reread = scenario_at(rate)
        assert reloads.ask().well
        assert reloads.take() is not None
    reloads.reread = scenario_at(50)
    well, lines = reloads.ask()
    assert not well
    assert "at most" in lines[0]
