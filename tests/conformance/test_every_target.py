"""What every target that stores must do, checked round the adapter where the store can be reached without it."""

import json
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import date

import numpy as np
import pandas as pd
import pytest

from featurestore import FeatureStoreConfig, SimpleFeatureStore
from featurestore.movies import generate_movies
from stressd import scenario
from stressd.targets.loading import load_target
from stressd.targets.protocol import (
    DetailedSession,
    TargetRejected,
    TargetSpec,
    TargetWithDrop,
    TargetWithFootprint,
    TargetWithStats,
    abilities_of,
    guarantees_of,
)
from stressd.workload.frames import MovieContent, RandomContent
from stressd.workload.judge import Judge
from stressd.workload.ledger import Ledger
from stressd.workload.movie_tables import MovieTables, build_base

KEY, SEED = 0, 11
GROUP, OTHER = "conformance-00000", "conformance-00001"
PATIENCE_S = 60

# Prints the sequence it reads of each line's group, or "missing".
READER = """
import json, sys
from stressd.targets.loading import load_target
from stressd.targets.protocol import TargetSpec
spec, names = json.loads(sys.argv[1]), json.loads(sys.argv[2])
session = load_target(TargetSpec(**spec)).open()
print("ready", flush=True)
for line in sys.stdin:
    try:
        frames = session.read(line.strip(), names)
        print(json.dumps([int(frames[name]["_seq"].iloc[0]) for name in names]), flush=True)
    except KeyError:
        print('"missing"', flush=True)
"""


class Kind:
    """One target under the suite: how it is built, and how its store is read without it."""

    several_processes = False

    def __init__(self, folder):
        self.folder = folder

    def around(self, group, names):
        pytest.skip("what it holds can be reached through itself alone")


class Memory(Kind):
    def spec(self):
        return TargetSpec("memory")


class Embedded(Kind):
    several_processes = True

    def spec(self):
        return TargetSpec("embedded", {"path": f"{self.folder}/store", "durability": "relaxed"})

    def around(self, group, names):
        config = FeatureStoreConfig(f"{self.folder}/store", cache_enabled=False)
        with closing(SimpleFeatureStore(config)) as store:
            return store.get_features(list(names), group)


class Sqlite(Kind):
    several_processes = True

    def spec(self):
        return TargetSpec("sqlite_target:SqliteTarget", {"file": f"{self.folder}/frames.db"})

    def around(self, group, names):
        with closing(sqlite3.connect(f"{self.folder}/frames.db")) as connection:
            query = "SELECT name, bytes FROM frame WHERE grp = ?"
            held = {name: pickle.loads(data) for name, data in connection.execute(query, (group,))}
        return {name: held[name] for name in names}


@pytest.fixture(params=[Memory, Embedded, Sqlite], ids=lambda kind: kind.__name__.lower())
def kind(request, tmp_path, monkeypatch):
    monkeypatch.chdir(request.path.parent)  # where anyone's own module is looked for
    return request.param(tmp_path)


@pytest.fixture
def target(kind):
    built = load_target(kind.spec())
    built.setup()
    yield built
    built.teardown()


@pytest.fixture
def session(target):
    opened = target.open()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def movie_tables(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("content"))
    build_base(generate_movies(200, SEED), date(2026, 1, 1), folder)
    return MovieTables(folder)


@pytest.fixture(params=["movies", "random"])
def content(request, movie_tables):
    if request.param == "movies":
        return MovieContent(movie_tables, scenario.Content(rows=(10, 20)), SEED)
    return small()


def small():
    return RandomContent(scenario.Content(kind="random", rows=(3, 6), columns=3, names=2), SEED)


@pytest.fixture
def judged(tmp_path, target):
    """Judge frames, every cell, as the saves up to the newest one make them."""
    ledger = Ledger.create(str(tmp_path / "ledger"), 1, run_id="run", boot_id="boot")

    def judge(content, frames, newest):
        ledger.intent(KEY, newest, content.frames(KEY, newest).total)
        ledger.ack(KEY, newest)
        one = Judge(ledger, content, guarantees_of(target))
        return one.after(KEY, one.before(KEY), frames, full=True)

    yield judge
    ledger.close()


def seqs(frames):
    return {name: frame["_seq"].unique().tolist() for name, frame in frames.items()}


def of_save(seq, content):
    """What `seqs` says of frames that are all of one save."""
    return {name: [seq] for name in content.names}


# --- Content -------------------------------------------------------------------------------------


def test_what_was_saved_is_what_is_read_to_the_last_cell(session, content, judged):
    for seq in (1, 2, 3):
        session.save(GROUP, content.frames(KEY, seq).frames)
        judgement = judged(content, session.read(GROUP, list(content.names)), seq)
        assert (judgement.kind, judgement.suspect, judgement.seq) == (None, False, seq)
        assert judgement.cells > 0


def test_what_was_acknowledged_is_in_the_store_itself(kind, session, content, judged):
    session.save(GROUP, content.frames(KEY, 1).frames)
    assert judged(content, kind.around(GROUP, content.names), 1).kind is None
    session.save(GROUP, content.frames(KEY, 2).frames)
    judgement = judged(content, kind.around(GROUP, content.names), 2)
    assert (judgement.kind, judgement.suspect, judgement.seq) == (None, False, 2)


def test_some_of_the_names_can_be_read_alone(session):
    content = small()
    session.save(GROUP, content.frames(KEY, 1).frames)
    one = content.names[1]
    assert list(session.read(GROUP, [one])) == [one]


def test_groups_do_not_touch_each_other(session):
    content = small()
    session.save(GROUP, content.frames(KEY, 1).frames)
    session.save(OTHER, content.frames(KEY, 2).frames)
    assert seqs(session.read(GROUP, list(content.names))) == of_save(1, content)


def test_what_was_never_saved_is_a_key_error(session):
    content = small()
    with pytest.raises(KeyError):
        session.read(GROUP, list(content.names))
    session.save(GROUP, content.frames(KEY, 1).frames)
    with pytest.raises(KeyError):
        session.read(GROUP, [*content.names, "no_such_name"])
    with pytest.raises(KeyError):
        session.read(OTHER, list(content.names))


# --- Whose a frame is ----------------------------------------------------------------------------


def edit(frame):
    """Change a cell; one that refuses the edit is as good as one that nobody else sees."""
    try:
        frame.iat[0, 1] = -1.0
    except ValueError:
        return


def test_a_frame_that_was_read_is_the_readers(session, judged):
    content = small()
    session.save(GROUP, content.frames(KEY, 1).frames)
    for _ in range(3):  # the first from the store, the next from its cache, if it has one
        frames = session.read(GROUP, list(content.names))
        assert judged(content, frames, 1).kind is None
        for frame in frames.values():
            edit(frame)
        frames[content.names[0]] = pd.DataFrame()


def test_a_frame_that_was_saved_stays_the_savers(session, judged):
    content = small()
    mine = content.frames(KEY, 1).frames
    session.save(GROUP, mine)
    for frame in mine.values():
        edit(frame)
    assert judged(content, session.read(GROUP, list(content.names)), 1).kind is None


def test_a_save_leaves_the_savers_frames_as_they_were(session):
    content = small()
    mine, same = content.frames(KEY, 1).frames, content.frames(KEY, 1).frames
    session.save(GROUP, mine)
    for name in content.names:
        pd.testing.assert_frame_equal(mine[name], same[name])


# --- Who sees what, when -------------------------------------------------------------------------


def test_another_session_sees_what_was_acknowledged_before_it_reads(target):
    content, ours, theirs = small(), target.open(), target.open()
    for seq in range(1, 6):
        ours.save(GROUP, content.frames(KEY, seq).frames)
        assert seqs(theirs.read(GROUP, list(content.names))) == of_save(seq, content)
    ours.close()
    theirs.close()


def test_another_process_sees_what_was_acknowledged_before_it_reads(kind, target, session, project_root):
    if not kind.several_processes:
        pytest.skip("it lives in one process alone, and a run finds that out")
    content, spec = small(), kind.spec()
    arguments = [json.dumps({"name": spec.name, "options": spec.options}), json.dumps(content.names)]
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(project_root)},
    )
    deadline = threading.Timer(PATIENCE_S, reader.kill)
    deadline.start()

    def read_there():
        reader.stdin.write(f"{GROUP}\n")
        reader.stdin.flush()
        return json.loads(reader.stdout.readline())

    try:
        assert reader.stdout.readline() == "ready\n"
        assert read_there() == "missing"
        for seq in range(1, 5):
            session.save(GROUP, content.frames(KEY, seq).frames)
            assert read_there() == [seq, seq]
    finally:
        deadline.cancel()
        reader.kill()
        reader.communicate()


def test_readers_never_see_half_of_a_save_nor_go_back(target):
    """Only if groups are claimed to be atomic, and reads to be of the latest; all of these do."""
    claims = guarantees_of(target)
    assert (claims.reads, claims.atomic_groups) == ("latest", True)
    content, saves, failures = small(), 40, []
    made = [content.frames(KEY, seq).frames for seq in range(1, saves + 1)]
    first = target.open()
    first.save(GROUP, made[0])
    acknowledged = [1]

    def read_until_the_last():
        session, seen, deadline_s = target.open(), 0, time.monotonic() + PATIENCE_S
        while seen < saves and time.monotonic() < deadline_s:
            before = acknowledged[0]
            found = seqs(session.read(GROUP, list(content.names)))
            (one,), *others = found.values()
            if any(other != [one] for other in others) or one < max(before, seen):
                failures.append((before, seen, found))
                return
            seen = one
        session.close()

    threads = [threading.Thread(target=read_until_the_last) for _ in range(2)]
    for thread in threads:
        thread.start()
    for seq in range(2, saves + 1):
        first.save(GROUP, made[seq - 1])
        acknowledged[0] = seq
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    first.close()
    assert not failures


def test_what_many_save_at_once_is_all_there(target):
    content, failures = small(), []

    def save(number):
        try:
            session = target.open()
            for seq in range(1, 6):
                session.save(f"conformance-{number:05d}", content.frames(number, seq).frames)
            session.close()
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert not failures
    session = target.open()
    for number in range(4):
        frames = session.read(f"conformance-{number:05d}", list(content.names))
        assert {frame["_key"].iat[0] for frame in frames.values()} == {number}
        assert seqs(frames) == of_save(5, content)
    session.close()


def test_commit_numbers_grow(session):
    content = small()
    numbers = [session.save(GROUP, content.frames(KEY, seq).frames) for seq in range(1, 5)]
    assert all(type(number) is int for number in numbers)
    assert numbers == sorted(set(numbers))


# --- What is optional ----------------------------------------------------------------------------


def test_a_group_that_was_dropped_was_never_saved(target, session):
    if not isinstance(target, TargetWithDrop):
        pytest.skip("it cannot remove a group")
    content = small()
    target.drop(GROUP)  # which is not there
    session.save(GROUP, content.frames(KEY, 1).frames)
    session.save(OTHER, content.frames(KEY, 1).frames)
    session.read(GROUP, list(content.names))
    target.drop(GROUP)
    with pytest.raises(KeyError):
        session.read(GROUP, list(content.names))
    assert seqs(session.read(OTHER, list(content.names))) == of_save(1, content)
    session.save(GROUP, content.frames(KEY, 7).frames)
    assert seqs(session.read(GROUP, list(content.names))) == of_save(7, content)


def test_a_cache_says_when_it_answers_and_can_be_gone_round(target, session):
    if not isinstance(session, DetailedSession):
        assert not abilities_of(target).cache
        pytest.skip("it does not tell where an answer comes from")
    content = small()
    commit = session.save(GROUP, content.frames(KEY, 1).frames)

    def read(*, bypass):
        detail = session.read_detail(GROUP, list(content.names), bypass_cache=bypass)
        assert seqs(detail.frames) == of_save(1, content)
        return detail.source, detail.commit

    assert read(bypass=False) == ("store", commit)
    assert read(bypass=False) == ("cache", commit)
    assert read(bypass=True) == ("store", commit)


def test_what_it_counts_goes_up_with_what_it_did(target, session):
    if not isinstance(target, TargetWithStats):
        pytest.skip("it counts nothing")
    before = target.stats()
    content = small()
    session.save(GROUP, content.frames(KEY, 1).frames)
    session.read(GROUP, list(content.names))
    after = target.stats()
    assert after.commits == before.commits + 1
    assert after.cache_bytes > before.cache_bytes


def test_what_it_keeps_on_disk_can_be_measured(target, session):
    if not isinstance(target, TargetWithFootprint):
        pytest.skip("it keeps nothing that could be measured")
    session.save(GROUP, small().frames(KEY, 1).frames)
    footprint = target.footprint()
    assert footprint.bytes > 0
    assert footprint.files > 0
    assert footprint.features == 2


def test_a_frame_that_cannot_be_stored_is_rejected_and_nothing_is_saved(kind, session):
    if isinstance(kind, Memory | Sqlite):
        pytest.skip("it stores anything")
    content = small()
    session.save(GROUP, content.frames(KEY, 1).frames)
    broken = content.frames(KEY, 2).frames
    broken[content.names[1]] = pd.DataFrame({"value": [object(), np.int64(1), {"a": 1}]})
    with pytest.raises(TargetRejected):
        session.save(GROUP, broken)
    assert seqs(session.read(GROUP, list(content.names))) == of_save(1, content)
    assert seqs(kind.around(GROUP, content.names)) == of_save(1, content)
