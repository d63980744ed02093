"""Calendar dates by the column: parsing ``YYYY-MM-DD`` and what follows from a date, in integer arithmetic.

Arrow's cast would parse too, but stops at the first bad date of a column and does not say which it was.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from featurestore.movies.strings import utf8_bytes

Ints = NDArray[np.int64]

_TEXT_LENGTH: Final = 10
_DIGIT_PLACES: Final = [0, 1, 2, 3, 5, 6, 8, 9]
_DASH_PLACES: Final = [4, 7]
_MONTH_LENGTHS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_DAYS_BEFORE_MONTH: Final = np.concatenate([[0], np.cumsum(_MONTH_LENGTHS)[:-1]])
_EPOCH_ORDINAL: Final = 719163
"""``date(1970, 1, 1).toordinal()``."""
_MICROSECONDS_A_DAY: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class CivilDates:
    """Dates of the Gregorian calendar, a place each; all parts are 0 where the date is not known.

    `epoch_day` counts from 1970-01-01, `day_of_year` from 1.
    """

    known: NDArray[np.bool_]
    year: Ints
    month: Ints
    day_of_year: Ints
    epoch_day: Ints

    def put(self, rows: Ints, dates: CivilDates) -> None:
        """Overwrite the dates of the rows."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(dates, field.name)

    def datetimes(self) -> NDArray[np.datetime64]:
        """Return a new array of datetime64[us], NaT where the date is not known."""
        found = (self.epoch_day * _MICROSECONDS_A_DAY).view("datetime64[us]")
        found[~self.known] = np.datetime64("NaT")
        return found


def parse_dates(texts: Any) -> CivilDates:
    """Return the dates of a `large_string` array; what is no ``YYYY-MM-DD`` of the calendar is not known."""
    bounds, data = utf8_bytes(texts)
    fits = np.diff(bounds) == _TEXT_LENGTH
    if fits.all():
        chars = data[bounds[0] : bounds[-1]].reshape(-1, _TEXT_LENGTH)
    else:
        chars = data[bounds[:-1][fits, None] + np.arange(_TEXT_LENGTH)]
    rows = np.flatnonzero(fits)
    dates = _from_chars(chars)
    if len(rows) == len(bounds) - 1:
        return dates
    whole = CivilDates(np.zeros(len(fits), np.bool_), *(np.zeros(len(fits), np.int64) for _ in range(4)))
    whole.put(rows, dates)
    return whole


def _from_chars(chars: NDArray[np.uint8]) -> CivilDates:
    columns = np.ascontiguousarray(chars.T)
    digits = columns[_DIGIT_PLACES] - np.uint8(ord("0"))  # what lies below "0" wraps round to above 9
    known = (digits <= 9).all(axis=0) & (columns[_DASH_PLACES] == ord("-")).all(axis=0)
    wide = digits.astype(np.int64)
    year = wide[0] * 1000 + wide[1] * 100 + wide[2] * 10 + wide[3]
    month = wide[4] * 10 + wide[5]
    day = wide[6] * 10 + wide[7]
    known &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    month *= known
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    known &= day <= _MONTH_LENGTHS[month] + (leap & (month == 2))
    year, month, day = year * known, month * known, day * known
    day_of_year = _DAYS_BEFORE_MONTH[month] + day + (leap & (month > 2))
    return CivilDates(known, year, month, day_of_year, _epoch_days(year, day_of_year) * known)


def _epoch_days(year: Ints, day_of_year: Ints) -> Ints:
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 + day_of_year - _EPOCH_ORDINAL
