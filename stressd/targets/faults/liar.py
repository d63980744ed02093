"""The target that lies: options in, the inner target and its lie out."""

from typing import Any, Final

from stressd.errors import TargetError
from stressd.spelling import suggest
from stressd.targets.faults.lies import LIES, How, Lie
from stressd.targets.faults.memory import Call
from stressd.targets.faults.moments import Moments
from stressd.targets.loading import load_target, with_folder
from stressd.targets.protocol import Abilities, DetailedRead, Frames, Session, TargetSpec, abilities_of

DEFAULT_RATE: Final = 0.01
FIGURES: Final[tuple[str, ...]] = ("mb_per_s", "slower_by", "over_s", "stall_s")
OPTIONS: Final[tuple[str, ...]] = ("at", "rate", "seed", "on", "delay_ms", *FIGURES)
_INNER: Final = "inner_"
_HANDED_ON: Final = ("drop", "stats", "footprint")


class Liar:
    """A target before another one, which lies as its options say: see the package. Options may be text."""

    abilities: Abilities = Abilities(scratch_option="folder")

    def __init__(self, lie: str = "", inner: str = "embedded", folder: str | None = None, **options: Any) -> None:
        if lie not in LIES:
            raise TargetError(f"lie={lie}: there is none of that name; {suggest(lie, LIES)}")
        own = {name: options.pop(name) for name in OPTIONS if name in options}
        spec = TargetSpec(inner, {name.removeprefix(_INNER): value for name, value in options.items()})
        self._inner = load_target(with_folder(spec, f"{folder}/inner") if folder is not None else spec)
        self.abilities = abilities_of(self._inner)
        self.guarantees = getattr(self._inner, "guarantees", {})
        for name in _HANDED_ON:  # bound here, so that the liar has what the inner one has, and no more
            if hasattr(self._inner, name):
                setattr(self, name, getattr(self._inner, name))
        self._moments = _moments(lie, own, folder)
        self._lie = LIES[lie](self._moments, _how(own))
        self._delay_s = (_number("delay_ms", own.get("delay_ms")) or 0.0) / 1000

    def setup(self) -> None:
        """Set the inner target up, and begin to count anew."""
        self._moments.reset()
        self._inner.setup()

    def teardown(self) -> None:
        """Leave it to the inner target."""
        self._inner.teardown()

    def open(self) -> "LiarSession":
        """Return a session before one of the inner target's."""
        return LiarSession(self._inner.open(), self._lie, self._moments, self._delay_s)


class LiarSession:
    """A thread's view of the liar."""

    def __init__(self, session: Session, lie: Lie, moments: Moments, delay_s: float) -> None:
        self._session = session
        self._lie = lie
        self._moments = moments
        self._delay_s = delay_s

    def save(self, group: str, features: Frames) -> int | None:
        """Save, or say so."""
        return self._lie.save(self._call(group), features)

    def read(self, group: str, names: list[str]) -> Frames:
        """Read, or make something up."""
        return self.read_detail(group, names, bypass_cache=False).frames

    def read_detail(self, group: str, names: list[str], *, bypass_cache: bool) -> DetailedRead:
        """As `read`; where the inner target cannot tell where an answer came from, it came from the store."""
        return self._lie.read(self._call(group), names, bypass_cache)

    def close(self) -> None:
        """Close the inner session."""
        self._session.close()

    def _call(self, group: str) -> Call:
        return Call(self._moments.call(), self._session, group, self._delay_s)


def _moments(lie: str, given: dict[str, Any], folder: str | None) -> Moments:
    at, rate, seed = (_number(name, given.get(name)) for name in ("at", "rate", "seed"))
    if at is not None and rate is not None:
        raise TargetError(f"at={given['at']}, rate={given['rate']}: a lie has one or the other; leave one out")
    if rate is not None and LIES[lie].goes_on:
        raise TargetError(f"rate={given['rate']}: {lie} goes on from a moment on; say by at=CALL when it begins")
    if rate is not None and not 0 <= rate <= 1:
        raise TargetError(f"rate={given['rate']}: a share of the calls is from 0 to 1")
    return Moments(None if at is None else int(at), DEFAULT_RATE if rate is None else rate, int(seed or 0), folder)


def _how(given: dict[str, Any]) -> How:
    if (on := str(given.get("on", "read"))) not in ("save", "read"):
        raise TargetError(f"on={on}: a frame is changed on save or on read")
    figures = {name: _number(name, given.get(name)) for name in FIGURES}
    return How(on=on, **{name: value for name, value in figures.items() if value is not None})


def _number(name: str, value: Any) -> float | None:
    """Return what an option says; a share may be written as `25%`."""
    if value is None:
        return None
    text = str(value).strip()
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise TargetError(f"{name}={text}: no number") from None
