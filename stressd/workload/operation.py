"""What a lane does next, and to which key: seeded draws, made in blocks so that one costs next to nothing."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Final

import numpy as np

from stressd.pools import Mix

_BLOCK: Final = 4096
_TRIES: Final = 8


class Op(IntEnum):
    """The operations a mix weighs."""

    GENERATE = 0
    SAVE = 1
    READ = 2
    READ_STORE = 3
    SCRUB = 4


class Draws:
    """One lane's streams of operations and of keys to read. For one thread.

    `operation(i, mix)` is the i-th stream, that of a mix: a pure function of (seed, lane, i). `read_key()` takes the
    next of `keys`; given `is_saved`, another, a few times, while nothing was ever acknowledged under the key drawn.
    """

    def __init__(
        self,
        keys: Iterator[int],
        seed: int,
        lane: int,
        is_saved: Callable[[int], object] | None = None,
    ) -> None:
        self._seed = seed
        self._lane = lane
        self._key = keys.__next__
        self._is_saved = is_saved or _always
        self.read_key: Callable[[], int] = self._key if is_saved is None else self._saved_key

    def operation(self, number: int, mix: Mix) -> Callable[[], Op]:
        """Return what tells the next operation of the stream of that number, which follows the weights of the mix."""
        return operations(mix, self._seed, self._lane, number).__next__

    def _saved_key(self) -> int:
        key = self._key()
        return key if self._is_saved(key) else self._another()

    def _another(self) -> int:
        for _ in range(_TRIES - 1):
            key = self._key()
            if self._is_saved(key):
                break
        return key


def _always(_key: int) -> bool:
    return True


def operations(mix: Mix, seed: int, lane: int, number: int = 0) -> Iterator[Op]:
    """Return an endless stream of operations that follows the weights."""
    weights = np.array([getattr(mix, op.name.lower()) for op in Op], dtype=np.float64)
    shares = np.cumsum(weights / weights.sum())
    shares /= shares[-1]
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed % 2**64, lane, 0, number])))
    ops = tuple(Op)
    while True:
        places = np.searchsorted(shares, random.random(_BLOCK), side="right")
        yield from [ops[place] for place in places.tolist()]


class SaveKeys:
    """A lane's own keys, the least-saved first, in turn where they are level. For one thread.

    `saves` are (key, number of saves so far) pairs, from the ledger, so that a replacement goes on where the
    dead lane was.
    """

    def __init__(self, saves: Iterable[tuple[int, int]]) -> None:
        self._heap = [(count, turn, key) for turn, (key, count) in enumerate(saves)]
        self._turn = len(self._heap)
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    def take(self) -> int:
        """Return the key whose turn it is, and count a save for it. IndexError if all are retired."""
        count, _, key = self._heap[0]
        heapq.heapreplace(self._heap, (count + 1, self._turn, key))
        self._turn += 1
        return key

    def retire(self, key: int) -> None:
        """Never return this key again."""
        self._heap = [entry for entry in self._heap if entry[2] != key]
        heapq.heapify(self._heap)
