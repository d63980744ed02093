"""Manifests read with the help of another one are the same as those read alone."""

import json

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from featurestore import manifest
from featurestore.manifest import EMPTY, Entry, Manifest

pytestmark = pytest.mark.usefixtures("_no_group_is_small")
NAMES = st.sampled_from([f"n{number}" for number in range(12)])


@pytest.fixture(scope="module")
def _no_group_is_small():
    """So that few features are enough to see how many are read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_FEW_FEATURES", 1)
        yield


@st.composite
def entries(draw, name):
    commit = draw(st.sampled_from([1, 2, 99, 100]))
    return Entry(f"{name}/{'a' * draw(st.integers(1, 3))}.parquet", commit, draw(st.integers(0, 3)), 10, "c")


@st.composite
def manifests(draw, number):
    features = {name: draw(entries(name)) for name in draw(st.lists(NAMES, unique=True))}
    return Manifest(
        number,
        draw(st.sampled_from(["x", "yy"])),
        features,
        draw(st.booleans()),
        draw(st.sampled_from([(), ("r", "s")])),
    )


@st.composite
def later(draw, like):
    """One that mostly holds what the other one does, in the same places."""
    kept = {name: e if draw(st.booleans()) else draw(entries(name)) for name, e in like.features.items()}
    for name in draw(st.lists(NAMES, unique=True, max_size=2)):
        kept.pop(name, None)
    return Manifest(
        8, "z", kept | {name: draw(entries(name)) for name in draw(st.lists(NAMES, unique=True, max_size=2))}
    )


@given(st.data())
def test_whatever_it_is_compared_with_a_manifest_reads_the_same(data):
    like = data.draw(manifests(7))
    one = data.draw(st.one_of(manifests(8), later(like)))
    alone = manifest.decode(one.encode(), 8)
    for found in (alone, manifest.decode(one.encode(), 8, like), manifest.decode(one.encode(), 8, alone)):
        assert found == one
        assert list(found.features) == list(one.features)
        assert found.encode() == one.encode()
    followed = manifest.decode(like.encode(), 7, manifest.decode(one.encode(), 8, like))
    assert (followed, list(followed.features)) == (like, list(like.features))


def test_what_did_not_change_is_not_read_anew():
    like = Manifest(1, "t", {name: Entry(f"{name}/t.parquet", 1, 1, 1, "c") for name in "abcd"})
    changed = Manifest(2, "u", {**like.features, "b": Entry("b/u.parquet", 2, 1, 1, "c")})
    found = manifest.decode(changed.encode(), 2, like)
    assert [found.features[name] is like.features[name] for name in "abcd"] == [True, False, True, True]
    assert like.replaced_by(found) == [like.features["b"]]
    assert found.replaced_by(EMPTY) == list(found.features.values())


def test_a_manifest_without_lines_is_read_too():
    entry = Entry("a/t.parquet", 1, 1, 1, "c")
    body = json.dumps({"number": 1, "txn": "t", "features": {"a": vars(entry)}}).encode()
    data = b"featurestore manifest 1 %s\n%s" % (xxhash.xxh3_64_hexdigest(body).encode(), body)
    for like in (EMPTY, Manifest(0, "", {"a": entry})):
        assert manifest.decode(data, 1, like) == Manifest(1, "t", {"a": entry})


@pytest.mark.parametrize("like", [EMPTY, Manifest(1, "t", {"a": Entry("a/t.parquet", 1, 1, 1, "c")})])
def test_a_damaged_manifest_or_one_of_another_number_is_refused(like):
    data = Manifest(1, "t", {"a": Entry("a/t.parquet", 1, 1, 1, "c")}).encode()
    for at in range(len(data)):
        with pytest.raises(ValueError, match="checksum"):
            manifest.decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], 1, like)
    with pytest.raises(ValueError, match="number 1"):
        manifest.decode(data, 2, like)
