"""What a lane does next, and to which key: seeded draws, made in blocks so that one costs next to nothing."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Final

import numpy as np

from stressd.scenario import Mix

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
    """One lane's stream of operations and of keys to read, a pure function of (seed, lane). For one thread.

    `operation()` follows the mix's weights. `read_key()` is uniform over all keys, whoever writes them; given
    `is_saved`, it draws again, a few times, while nothing was ever acknowledged under the key drawn.
    """

    def __init__(
        self, mix: Mix, keys: int, seed: int, lane: int, is_saved: Callable[[int], object] | None = None
    ) -> None:
        weights = np.array([getattr(mix, op.name.lower()) for op in Op], dtype=np.float64)
        shares = np.cumsum(weights / weights.sum())
        self._shares = shares / shares[-1]
        self._keys = keys
        self._is_saved = is_saved
        op_random, key_random = (
            np.random.Generator(np.random.PCG64(part)) for part in np.random.SeedSequence([seed % 2**64, lane]).spawn(2)
        )
        self.operation: Callable[[], Op] = self._operations(op_random).__next__
        self._key: Callable[[], int] = self._uniform(key_random).__next__
        self.read_key: Callable[[], int] = self._key if is_saved is None else self._saved_key

    def _operations(self, random: np.random.Generator) -> Iterator[Op]:
        ops = tuple(Op)
        while True:
            places = np.searchsorted(self._shares, random.random(_BLOCK), side="right")
            yield from [ops[place] for place in places.tolist()]

    def _uniform(self, random: np.random.Generator) -> Iterator[int]:
        while True:
            yield from random.integers(0, self._keys, _BLOCK).tolist()

    def _saved_key(self) -> int:
        assert self._is_saved is not None  # noqa: S101 - for the type checker: bound only then
        for _ in range(_TRIES):
            key = self._key()
            if self._is_saved(key):
                break
        return key


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
