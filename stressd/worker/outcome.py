"""How an operation that raised is counted: a closed set of outcomes and of classes of error."""

from typing import Final

from stressd.targets.protocol import TargetCorrupt, TargetRejected


class InjectedError(TargetRejected):
    """Raised in place of calling the target while a scheduled fault is on: nothing was asked of it."""


_CLASSES: Final[tuple[tuple[type[BaseException], str], ...]] = (  # the first that fits
    (InjectedError, "injected"),
    (TargetRejected, "rejected"),
    (TargetCorrupt, "corrupt"),
    (TimeoutError, "timeout"),
    (KeyError, "missing"),
    (OSError, "io"),
)
_OUTCOMES: Final = {"injected": "injected", "timeout": "timeout", "corrupt": "violation"}


def error_class(error: BaseException) -> str:
    """Return which of `metrics.ERROR_CLASSES` an exception of a target belongs to."""
    return next((name for kind, name in _CLASSES if isinstance(error, kind)), "other")


def outcome(error_class: str) -> str:
    """Return which of `metrics.OUTCOMES` an operation with such an error ended in."""
    return _OUTCOMES.get(error_class, "error")
