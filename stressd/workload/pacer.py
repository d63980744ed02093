"""When operations are meant to start. Pure: numbers in, numbers out; no clock, no state, any thread."""

from dataclasses import dataclass
from typing import Final, Protocol

NEVER_NS: Final = 2**63 - 1
_SECOND_NS: Final = 1_000_000_000


class Pacer(Protocol):
    """The intended starts of one process, numbered from 0, in nanoseconds after the load began."""

    def offset_ns(self, start: int) -> int:
        """Return when the start of this number is meant to happen; never less than that of the number before."""
        ...

    def due(self, elapsed_ns: int) -> int:
        """Return how many starts are meant to have happened by then: exactly those whose offset is not later."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantPacer:
    """Constant arrivals at `rate` a second over the whole pool, dealt out in turn to its `stripes` processes.

    Start i of the pool is meant for i/rate seconds, and belongs to process i mod stripes. Rate 0 is a pause.
    """

    rate: float
    stripe: int = 0
    stripes: int = 1

    def __post_init__(self) -> None:
        if self.rate < 0 or not 0 <= self.stripe < self.stripes:
            raise ValueError(f"no pacer with rate {self.rate} and stripe {self.stripe} of {self.stripes}")

    def offset_ns(self, start: int) -> int:
        """Return start number's offset in the pool's even spacing."""
        if self.rate == 0:
            return NEVER_NS
        return int((start * self.stripes + self.stripe) * _SECOND_NS / self.rate)

    def due(self, elapsed_ns: int) -> int:
        """Return the number of offsets that are not later than `elapsed_ns`."""
        if self.rate == 0 or elapsed_ns < 0:
            return 0
        guess = int((elapsed_ns * self.rate / _SECOND_NS - self.stripe) / self.stripes) + 1
        while guess > 0 and self.offset_ns(guess - 1) > elapsed_ns:
            guess -= 1
        while self.offset_ns(guess) <= elapsed_ns:
            guess += 1
        return guess
