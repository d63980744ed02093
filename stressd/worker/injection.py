"""Scheduled faults as a lane meets them: what it does in place of the target, and which failures are the schedule's.

The daemon writes when into the table's control cells. Any thread.
"""

import errno
import time
from typing import Final

from stressd.stats.table import Control
from stressd.worker.outcome import InjectedError

_FROM: Final = int(Control.FAULT_FROM_NS)
_UNTIL: Final = int(Control.FAULT_UNTIL_NS)
_SLOW_UNTIL: Final = int(Control.SLOW_UNTIL_NS)
_SLOW_BY: Final = int(Control.SLOW_BY_NS)
_NO_WRITES_FROM: Final = int(Control.NO_WRITES_FROM_NS)
_NO_WRITES_UNTIL: Final = int(Control.NO_WRITES_UNTIL_NS)
_CANNOT_WRITE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_DEEPEST: Final = 8


def inject(control: memoryview, now_ns: int) -> None:
    """Before the target is asked: raise InjectedError, or wait, if a fault of the adapter is on."""
    if control[_UNTIL] > now_ns >= control[_FROM]:
        raise InjectedError("a scheduled fault: the target was not asked")
    if control[_SLOW_UNTIL] > now_ns:
        time.sleep(control[_SLOW_BY] / 1e9)


def injected_failure(control: memoryview, error: BaseException, began_ns: int, ended_ns: int) -> bool:
    """Say whether a call failed by the schedule's doing: instead of the call, or as it could not write to a file.

    The latter if it says so (the number of the system's error, in the exception or what caused it) and files could not
    be written at some time during the call.
    """
    if isinstance(error, InjectedError):
        return True
    return control[_NO_WRITES_FROM] <= ended_ns and began_ns < control[_NO_WRITES_UNTIL] and _cannot_write(error)


def _cannot_write(error: BaseException) -> bool:
    cause: BaseException | None = error
    for _ in range(_DEEPEST):
        if cause is None:
            return False
        if isinstance(cause, OSError) and cause.errno in _CANNOT_WRITE:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
