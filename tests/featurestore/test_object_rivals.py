"""Eight processes with four threads each, all saving into one group of one server, left alone or killed at random.

STRESSD_RIVALS_S sets how long; `make soak-rivals-objects` takes a minute.
"""

import collections
import multiprocessing
import os
import random
import signal
import threading
import time

import pandas as pd
from object_servers import config_for, options_for

from featurestore import FeatureStoreConfig, SimpleFeatureStore, UnknownGroup, datafile

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["featurestore.store", "featurestore.objects.backend", "pyarrow.parquet"])
RUN_S = float(os.environ.get("STRESSD_RIVALS_S", "5"))
RIVALS, THREADS = 8, 4
START_S = 60.0
NAMES = ["same", "twin"]


def frame(token):
    return pd.DataFrame({"token": [token] * 4})


def token_of(got):
    (token,) = got["token"].unique()  # fails where a frame mixes saves
    return token


def opened(url, port):
    return SimpleFeatureStore(FeatureStoreConfig(url, keep_versions=10**9, object_store_options=options_for(port)))


def save_until(url, port, me, notes, started, ends):
    """Writes down what it is about to save, what was acknowledged, and what failed: a line each, at once."""
    store = opened(url, port)
    with open(notes, "a", buffering=1, encoding="utf-8") as lines:

        def save(thread):
            for number in range(10**9):
                if ends.is_set():
                    return
                token = f"{me}/{thread}/{number}"
                lines.write(f"try {token}\n")
                try:
                    done = store.commit("g", {**dict.fromkeys(NAMES, frame(token)), f"own-{me}-{thread}": frame(token)})
                except Exception as error:  # noqa: BLE001 - whatever it is, it counts
                    lines.write(f"failed {token} {error!r}\n")
                else:
                    lines.write(f"saved {token} {done.number}\n")

        threads = [threading.Thread(target=save, args=(thread,)) for thread in range(THREADS)]
        for thread in threads:
            thread.start()
        started.release()
        for thread in threads:
            thread.join()


def read_until(url, port, notes, ends):
    store = opened(url, port)
    reads, last, wrong = 0, 0, []
    while not ends.is_set():
        try:
            got = store.read("g", NAMES, use_cache=reads % 2 == 0)
        except UnknownGroup:
            continue
        tokens = {token_of(one) for one in got.frames.values()}
        if len(tokens) != 1 or got.commit < last:
            wrong.append((got.commit, last, tokens))
        reads, last = reads + 1, got.commit
    with open(notes, "w", encoding="utf-8") as lines:
        lines.write(f"{reads} {wrong}\n")


class Rivals:
    """The parties, and what they wrote down."""

    def __init__(self, port, folder):
        self.port = port
        self.folder = folder
        self.url = config_for(port).base_path
        self.started, self.ends = PROCESSES.Semaphore(0), PROCESSES.Event()
        self.deaths = 0
        self.children = {}

    def start(self, me):
        notes = self.folder / f"{me}.notes"
        arguments = (self.url, self.port, me, notes, self.started, self.ends)
        self.children[me] = PROCESSES.Process(target=save_until, args=arguments)
        self.children[me].start()

    def run(self, seconds, kill_each_s=None):
        for me in range(RIVALS):
            self.start(f"p{me}")
        reader = PROCESSES.Process(target=read_until, args=(self.url, self.port, self.folder / "reads", self.ends))
        reader.start()
        for _ in range(RIVALS):
            assert self.started.acquire(timeout=START_S)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(kill_each_s or left, left))
            if kill_each_s and time.monotonic() < end:
                self.replace_one()
        self.ends.set()
        for child in [*self.children.values(), reader]:
            child.join(START_S)
            assert child.exitcode == 0

    def replace_one(self):
        me = random.choice(list(self.children))
        victim = self.children.pop(me)
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(START_S)
        assert victim.exitcode == -signal.SIGKILL
        self.deaths += 1
        self.start(f"{me.partition('-')[0]}-{self.deaths}")

    def notes(self):
        """{"try" | "saved" | "failed": {token: what was said of it}}; a line that a kill cut short counts as none."""
        found = collections.defaultdict(dict)
        for path in self.folder.glob("*.notes"):
            for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
                kind, token, *rest = line.rstrip("\n").split(" ", 2)
                if line.endswith("\n"):
                    found[kind][token] = rest[0] if rest else ""
        return found


def published(store):
    """{token: numbers of the commits that wrote it}, by the files themselves."""
    group = store._group("g")
    each = store._backend._bucket.each
    found = collections.defaultdict(list)
    for manifest, _ in each(group.log.get, group.log.numbers()):
        own = [entry for entry in manifest.features.values() if entry.commit == manifest.number]
        assert len(own) == len(NAMES) + 1
        tokens = {token_of(datafile.decode(group.reader.content(entry), "parquet").frame) for entry in own}
        assert len(tokens) == 1, f"commit {manifest.number} mixes {tokens}"
        found[tokens.pop()].append(manifest.number)
    return found


def check(rivals, capsys):
    notes = rivals.notes()
    store = opened(rivals.url, rivals.port)
    commits = published(store)
    head = store.head("g")
    assert notes["failed"] == {}
    assert {token: [int(number)] for token, number in notes["saved"].items()}.items() <= commits.items()
    assert all(len(numbers) == 1 for numbers in commits.values()), "published twice"
    assert sorted(number for numbers in commits.values() for number in numbers) == list(range(1, head + 1))
    assert commits.keys() <= notes["try"].keys()
    reads, wrong = (rivals.folder / "reads").read_text(encoding="utf-8").rstrip("\n").split(" ", 1)
    assert wrong == "[]"
    assert int(reads) > 0
    assert len(notes["saved"]) >= RIVALS
    with capsys.disabled():
        print(
            f"\n{RUN_S:g} s: {len(notes['saved'])} saves acknowledged, 0 failed, 0 lost, {len(commits)} published, "
            f"{reads} reads checked, {rivals.deaths} processes killed"
        )


def test_of_eight_processes_with_four_threads_none_fails_and_nothing_is_lost(s3_port, tmp_path, capsys):
    rivals = Rivals(s3_port, tmp_path)
    rivals.run(RUN_S)
    check(rivals, capsys)


def test_a_process_killed_each_second_takes_nothing_acknowledged_with_it(s3_port, tmp_path, capsys):
    rivals = Rivals(s3_port, tmp_path)
    rivals.run(RUN_S, kill_each_s=1.0)
    assert rivals.deaths >= RUN_S / 2 - 1
    check(rivals, capsys)
