"""What a target claims, and how a claim that is none is told."""

from types import SimpleNamespace

import pytest

from stressd.errors import TargetError
from stressd.targets.protocol import Abilities, Guarantees, abilities_of, guarantees_of


def claiming(claims):
    return SimpleNamespace(guarantees=claims)


@pytest.mark.parametrize(
    ("claims", "guarantees"),
    [
        ({}, Guarantees("latest", 0.0, atomic_groups=True, late_writes=False)),
        ({"reads": "session"}, Guarantees("session")),
        ({"reads": "eventual", "atomic_groups": False}, Guarantees("eventual", atomic_groups=False)),
        ({"reads": "bounded:5"}, Guarantees("bounded", 5.0)),
        ({"reads": "bounded:250ms", "late_writes": True}, Guarantees("bounded", 0.25, late_writes=True)),
    ],
)
def test_claims_are_read_and_written_the_same_way(claims, guarantees):
    assert guarantees_of(claiming(claims)) == guarantees
    assert guarantees_of(claiming(guarantees.as_claimed())) == guarantees
    assert str(guarantees).startswith("reads=")


def test_who_claims_nothing_is_held_to_the_most():
    assert guarantees_of(object()) == Guarantees("latest", 0.0, atomic_groups=True, late_writes=False)


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"read": "latest"}, "unknown claim read; there are reads, atomic_groups, late_writes"),
        ({"reads": "newest"}, "'newest' is none of latest, session"),
        ({"reads": "bounded"}, "only bounded takes seconds"),
        ({"reads": "latest:5"}, "only bounded takes seconds"),
        ({"reads": "bounded:soon"}, "'bounded:soon' is none of"),
        ({"reads": "bounded:-1"}, "'bounded:-1' is none of"),
        ({"atomic_groups": "no"}, "'no' is neither True nor False"),
        ({"late_writes": 1}, "1 is neither True nor False"),
        (["latest"], "is no mapping of claims"),
        (None, "is no mapping of claims"),
    ],
)
def test_a_claim_that_is_none_is_told(claims, told):
    with pytest.raises(TargetError, match=told):
        guarantees_of(claiming(claims))


def test_abilities_are_the_defaults_unless_declared():
    assert abilities_of(object()) == Abilities()
    assert abilities_of(SimpleNamespace(abilities="many")) == Abilities()
    assert abilities_of(SimpleNamespace(abilities=Abilities(cache=True))).cache
