"""The real protocol of object stores, run step by step: every request is a point where another party may go on.

A `World` is an object store in memory that obliges nobody: a list is no snapshot and has no order, a put may be
answered with an error whether it landed or not, may land much later, may be told as taken because it was repeated on
the way. `play` lets writers, collectors (which sweep, too) and readers loose on it in an order that a seed decides, and
raises what went wrong, judged by what really was put first at each number.
"""

import random
import threading
from dataclasses import dataclass, field

from featurestore.datafile import checksum
from featurestore.errors import CommitUnknown, CorruptFeature, SaveFailed
from featurestore.manifest import decode
from featurestore.objects import commit
from featurestore.objects.bucket import Status
from featurestore.objects.group import ObjectGroup
from featurestore.reader import Overtaken

GROUP = "g"
LOG, DATA, HORIZON = f"{GROUP}/log/", f"{GROUP}/data/", f"{GROUP}/horizon/"
SHAPES = (  # writers, saves of each, collectors, readers, reads of each
    (2, 2, 1, 0, 0),
    (3, 2, 2, 1, 4),
    (1, 4, 1, 1, 12),
    (2, 3, 2, 2, 8),
    (2, 6, 1, 2, 12),
)
MOST_STEPS = 20_000
DEADLINE_S = 60.0


class Violation(Exception):  # noqa: N818 - as the rest of the project says it
    pass


@dataclass
class File:
    """As much of an encoded frame as a writer looks at."""

    data: memoryview
    rows: int = 1
    ending: str = "parquet"

    @property
    def checksum(self):
        return checksum(self.data)


class Schedule:
    """Who takes the next step. One thread runs at a time; the others wait for their turn.

    By priorities that change at a few random steps (so that somebody may sleep very long), or by throwing dice.
    """

    def __init__(self, dice):
        self.dice = dice
        self.steps = 0
        self.by_priority = dice.random() < 0.6
        self.stay = dice.choice((0.5, 0.8, 0.95))
        self.changes = {dice.randrange(250) for _ in range(dice.randrange(1, 6))}
        self.actors = {}
        self.current = None
        self.failure = None

    def add(self, name, work):
        turn = threading.Lock()
        turn.acquire()
        actor = [self.dice.random(), turn, None]
        self.actors[name] = actor

        def live():
            turn.acquire()
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the run must end
                self.failure = self.failure or error
            del self.actors[name]
            self._pass_on(self._next())

        actor[2] = threading.Thread(target=live, daemon=True)

    def run(self):
        threads = [actor[2] for actor in self.actors.values()]
        for thread in threads:
            thread.start()
        self._pass_on(self._next())
        for thread in threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive(), "the schedule hangs"
        if self.failure:
            raise self.failure

    def step(self, yielding=False):
        """Let somebody else go on, or not."""
        self.steps += 1
        if self.failure is not None or self.steps > MOST_STEPS:
            raise Violation(f"no end after {self.steps} steps" if self.failure is None else "stopped")
        me = self.current
        if yielding or self.steps in self.changes:
            self.actors[me][0] = min(actor[0] for actor in self.actors.values()) - 1
        chosen = self._next()
        if chosen != me:
            mine = self.actors[me][1]
            self._pass_on(chosen)
            mine.acquire()

    def _next(self):
        if not self.actors:
            return None
        if self.by_priority:
            return max(self.actors, key=lambda name: self.actors[name][0])
        if self.current in self.actors and self.dice.random() < self.stay:
            return self.current
        return self.dice.choice(list(self.actors))

    def _pass_on(self, chosen):
        self.current = chosen
        if chosen is not None:
            self.actors[chosen][1].release()


class World:
    """An object store in memory with the methods of Bucket. `faults`: the chance that a put goes wrong somehow."""

    url = "memory://world"

    def __init__(self, schedule, dice, faults):
        self.schedule = schedule
        self.dice = dice
        self.faults = faults
        self.objects = {}  # key -> (bytes, put at)
        self.ever = {}  # key -> the bytes that were first there
        self.late = []  # puts that are on their way

    def step(self, yielding=False):
        if self.late and self.dice.random() < 0.05:
            self._land(*self.late.pop(self.dice.randrange(len(self.late))))
        self.schedule.step(yielding)

    def now(self):
        return float(self.schedule.steps)

    def put(self, key, data):
        self.step()
        self._land(key, bytes(data), overwrite=True)

    def put_new(self, key, data):
        self.step()
        fate = self.dice.choice(("before", "after", "late", "repeated", "conflict"))
        if key.startswith(HORIZON) or self.dice.random() >= self.faults:
            fate = "fine"
        if fate == "before":
            raise OSError("lost on the way there")
        if fate == "late":
            self.late.append((key, bytes(data)))
            raise OSError("no answer")
        if fate == "conflict":
            raise FileExistsError(key)  # as S3 answers where a delete came in between
        if not self._land(key, bytes(data)):
            raise FileExistsError(key)
        if fate == "after":
            raise OSError("lost on the way back")
        if fate == "repeated":
            raise FileExistsError(key)
        return self._tag(key)

    def get(self, key):
        self.step()
        if key not in self.objects:
            raise FileNotFoundError(key)
        return memoryview(self.objects[key][0]), self._status(key)

    def status(self, key):
        self.step()
        return self._status(key) if key in self.objects else None

    def below(self, folder):
        """What was there from beginning to end is seen; what came or went meanwhile may be, or not."""
        self.step()
        keys = [key for key in self.ever if key.startswith(f"{folder}/")]
        self.dice.shuffle(keys)
        found = []
        for at, key in enumerate(keys):
            if at % 3 == 0:
                self.step()
            if key in self.objects:
                found.append(self._status(key))
        return iter(found)

    def delete(self, keys):
        for key in list(keys):
            self.step()
            if key.startswith(DATA) and key in self.objects:
                self._check_out_of_use(key)
            self.objects.pop(key, None)

    def each(self, function, items):
        return map(function, list(items))

    # --- what is true, whatever anybody thinks

    def truth(self):
        """The manifest that was the first at each number: the commits."""
        return {int(key[-20:]): decode(data, int(key[-20:])) for key, data in self.ever.items() if key.startswith(LOG)}

    def horizon(self):
        return max((int(key[-20:]) for key in self.ever if key.startswith(HORIZON)), default=0)

    def content(self, file):
        return self.ever[DATA + file].decode()

    def _check_out_of_use(self, key):
        horizon = self.horizon()
        for number, manifest in self.truth().items():
            if number >= horizon and key.removeprefix(DATA) in manifest.files():
                raise Violation(f"{key} is deleted, which commit {number} needs; the horizon is {horizon}")

    def _land(self, key, data, overwrite=False):
        if key in self.objects and not overwrite:
            return False
        self.objects[key] = (data, self.now())
        self.ever.setdefault(key, data)
        return True

    def _tag(self, key):
        return checksum(self.objects[key][0])

    def _status(self, key):
        data, put_at = self.objects[key]
        return Status(key, len(data), put_at, self._tag(key))


@dataclass
class Run:
    """One run of a few parties; what each save and read came to."""

    seed: int
    mutate: object = None
    acknowledged: list = field(default_factory=list)  # (value, names, manifest, step)
    failed: list = field(default_factory=list)
    unknown: list = field(default_factory=list)
    reads: int = 0

    def play(self):
        dice = random.Random(self.seed)
        self.schedule = Schedule(dice)
        self.world = World(self.schedule, dice, faults=dice.choice((0.0, 0.0, 0.2, 0.7)))
        writers, writes, collectors, readers, reads = dice.choice(SHAPES)
        for writer in range(writers):
            self._add(f"w{writer}", self._write, writes)
        for collector in range(collectors):
            self._add(f"c{collector}", self._collect, dice.randrange(2, 12))
        for reader in range(readers):
            self._add(f"r{reader}", self._read, reads)
        self.schedule.run()
        self._judge()
        return self

    def _add(self, name, work, times):
        group = ObjectGroup(self.world, GROUP, self.world.now, orphan_s=0.0)
        if self.mutate:
            self.mutate(name[0], group)
        self.schedule.add(name, lambda: work(name, group, times))

    def _write(self, me, group, times):
        for number in range(times):
            value = f"{me}-{number}"
            names = ("same", f"own-{me}") if number % 2 else ("same",)
            try:
                done = group.writer.commit({name: File(memoryview(value.encode())) for name in names})
            except SaveFailed:
                self.failed.append(value)
            except CommitUnknown:
                self.unknown.append(value)
            else:
                self.acknowledged.append((value, names, done, self.schedule.steps))

    def _collect(self, me, group, times):
        for _ in range(times):
            try:
                group.collect(1, 0.0)
            except (CommitUnknown, SaveFailed, OSError):
                self.world.step()

    def _read(self, me, group, times):
        last = 0
        for _ in range(times):
            known = max((m.number for _, _, m, _ in self.acknowledged), default=0)
            manifest, contents = self._snapshot(group)
            if manifest.number < max(known, last):
                raise Violation(f"read commit {manifest.number}; {known} was acknowledged, {last} was read before")
            last = manifest.number
            true = self.world.truth().get(last)
            if last and (true is None or true.txn != manifest.txn):
                raise Violation(f"read {manifest.txn} as commit {last}, which was {true and true.txn}")
            expected = {name: self.world.content(entry.file) for name, entry in manifest.features.items()}
            if contents != expected:
                raise Violation(f"read {contents} as commit {last}, which holds {expected}")
            self.reads += 1

    def _snapshot(self, group):
        """As a store reads."""
        for _ in range(100):
            manifest = group.log.head()
            try:
                return manifest, {n: bytes(group.reader.content(e)).decode() for n, e in manifest.features.items()}
            except Overtaken as overtaken:
                try:
                    group.check_overtaken(manifest, overtaken)
                except CorruptFeature as error:
                    raise Violation(f"a kept file is missing: {error}") from error
        raise Violation("overtaken for ever")

    def _judge(self):
        truth, horizon = self.world.truth(), self.world.horizon()
        self._judge_chain(truth)
        self._judge_saves(truth)
        for number, manifest in truth.items():
            for entry in manifest.features.values() if number >= horizon else ():
                if DATA + entry.file not in self.world.objects:
                    raise Violation(f"commit {number} is kept, and its {entry.file} is gone")

    def _judge_saves(self, truth):
        saved = {}  # value -> numbers of the commits that wrote it
        for number, manifest in truth.items():
            own = {self.world.content(e.file) for e in manifest.features.values() if e.commit == number}
            for value in own:
                saved.setdefault(value, []).append(number)
        for value, numbers in saved.items():
            if len(numbers) > 1:
                raise Violation(f"{value} was published twice, as {numbers}")
            if value in self.failed:
                raise Violation(f"{value} was told as failed, and is commit {numbers}")
        for value, names, manifest, _ in self.acknowledged:
            true = truth.get(manifest.number)
            if saved.get(value) != [manifest.number] or true is None or true.txn != manifest.txn:
                raise Violation(f"{value} was acknowledged as {manifest.number}, which is {true}")
            if any(self.world.content(true.features[name].file) != value for name in names):
                raise Violation(f"commit {manifest.number} does not hold {value}")

    def _judge_chain(self, truth):
        """Each commit is the one before it, and what it wrote."""
        before = {}
        for number in range(1, max(truth, default=0) + 1):
            if number not in truth:
                raise Violation(f"there never was a commit {number}, but later ones")
            features = truth[number].features
            kept = {name: entry for name, entry in features.items() if entry.commit != number}
            lost = {name: e for name, e in before.items() if name not in features}
            if lost or any(before.get(name) != entry for name, entry in kept.items()):
                raise Violation(f"commit {number} does not follow from the one before it")
            before = features


def play(seed, monkeypatch, mutate=None):
    """One run; raises Violation."""
    run = Run(seed, mutate)
    monkeypatch.setattr(commit, "_PUTS", 3)
    monkeypatch.setattr(commit, "_pause", lambda attempt: run.world.step(yielding=True))
    return run.play()
