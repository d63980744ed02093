"""What a process's cache should hold: which reads of a key it could have answered."""

from typing import NamedTuple


class Loaded(NamedTuple):
    """A read that the store answered, so that a cache may hold it from its end on."""

    seq: int
    began_ns: int
    ended_ns: int


class Recollection:
    """For each key the newest read from the store. Shared by the lanes of a process.

    A slower lane may put an older read in place of a newer one: then fewer reads are expected to be hits, never more.
    """

    def __init__(self, ttl_ns: float) -> None:
        self._ttl_ns = ttl_ns
        self._loaded: dict[int, Loaded] = {}

    def loaded(self, key: int, seq: int, began_ns: int, ended_ns: int) -> None:
        """Note that the store answered a read of `key` that could have come from the cache, with save `seq`."""
        self._loaded[key] = Loaded(seq, began_ns, ended_ns)

    def expects(self, key: int, seq: int, began_ns: int) -> bool:
        """Say whether a cache should have answered the read, begun then, that found `seq`.

        It should if the same save was read to the end before this read began, and began less than the time to live ago.
        """
        known = self._loaded.get(key)
        return known is not None and known.seq == seq and known.ended_ns <= began_ns < known.began_ns + self._ttl_ns
