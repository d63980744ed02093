import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from featurestore import InvalidFrame, datafile

FORMATS = ("parquet", "arrow")


def objects(*cells):
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return pd.DataFrame({"c": pd.Series(column, dtype=object)})


def round_trip(frame, file_format="parquet"):
    encoded = datafile.encode(frame, file_format, "snappy")
    return datafile.decode(encoded.data, encoded.ending).frame


NUMBERS = pd.DataFrame({"a": np.arange(4.0), "b": np.arange(4)})
DATES = pd.to_datetime(["2020-02-29", None, "1965-05-05", "2262-01-01"])
ROUND_TRIPS = {
    "texts": pd.DataFrame({"c": ["a", None, "", "日本語 🎬 a\0b"]}),
    "texts as objects": objects("a", None, "ü"),
    "integers as objects": objects(1, 2**60 + 1, 3),
    "integers as objects, some missing": objects(1, None, 2**60 + 1),
    "flags as objects": objects(True, False, None),
    "dates as objects": objects(dt.date(2020, 1, 1), None),
    "times": objects(dt.time(1, 2, 3), None),
    "decimals": objects(decimal.Decimal("1.10"), None),
    "bytes": objects(b"\xff\x00", b"", None),
    "nothing but nulls": objects(None, None),
    "seconds": pd.DataFrame({"c": DATES.astype("datetime64[s]")}),
    "nanoseconds": pd.DataFrame({"c": pd.to_datetime(["2020-01-01 00:00:00.123456789"])}),
    "time zone": pd.DataFrame({"c": DATES.tz_localize("Europe/Berlin")}),
    "time zone, seconds": pd.DataFrame({"c": DATES.astype("datetime64[s]").tz_localize("Asia/Tokyo")}),
    "durations": pd.DataFrame({"c": pd.to_timedelta([1, None], unit="s")}),
    "nullable": pd.DataFrame(
        {
            "i": pd.array([1, None, 2**60 + 1], "Int64"),
            "b": pd.array([True, None, False], "boolean"),
            "s": pd.array(["x", None, ""], "string"),
        }
    ),
    "small numbers": pd.DataFrame({"h": np.array([1.5, np.nan], "float16"), "u": np.array([0, 255], "uint8")}),
    "large numbers": pd.DataFrame({"u": np.array([2**64 - 1], "uint64"), "f": [1e308], "n": [-0.0]}),
    "infinities": pd.DataFrame({"f": [np.inf, -np.inf, np.nan]}),
    "categories, ordered, some unused": pd.DataFrame(
        {"c": pd.Categorical(["y", None, "x"], ["z", "y", "x"], ordered=True)}
    ),
    "categories of numbers": pd.DataFrame({"c": pd.Categorical([2**60 + 1, None, 3], [3, 5, 2**60 + 1])}),
    "categories of intervals": pd.DataFrame({"c": pd.cut([1.0, 2.0, 3.0], 2)}),
    "categories without rows": pd.DataFrame({"c": pd.Categorical([], ["b", "a"])}),
    "periods": pd.DataFrame({"c": pd.period_range("2020-01", periods=3, freq="M")}),
    "index of texts": NUMBERS.set_axis(list("wxyz")),
    "index of numbers, repeated": NUMBERS.set_axis([5, 3, 3, 1]),
    "index counted otherwise": NUMBERS.set_axis(pd.RangeIndex(2, 10, 2, name="r")),
    "index named like a column": NUMBERS.set_axis(pd.Index([5, 3, 3, 1], name="a")),
    "index of several levels": NUMBERS.set_axis(
        pd.MultiIndex.from_arrays([[1, 1, 2, 2], list("abab")], names=["p", None])
    ),
    "index of dates": NUMBERS.set_axis(pd.DatetimeIndex(["2020", "2019", "2018", "2017"], tz="UTC")),
    "odd labels": pd.DataFrame([[1, 2, 3, 4]], columns=["", "ü/…", "a.b", "__index_level_0__"]),
    "labels of numbers": pd.DataFrame(np.arange(6.0).reshape(2, 3)),
    "labels with a name": pd.DataFrame([[1, 2]], columns=pd.Index(["a", "b"], name="feature")),
    "labels of two levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")])),
    "no rows": NUMBERS.iloc[:0],
    "nothing": pd.DataFrame(),
}


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_what_goes_in_comes_out(name, file_format):
    frame = ROUND_TRIPS[name]
    before = frame.copy(deep=True)
    for _ in range(2):  # the second time by the plan that the first one left
        assert_frame_equal(round_trip(frame, file_format), frame, check_freq=False, check_column_type=False)
    assert_frame_equal(frame, before)


@pytest.mark.parametrize("file_format", FORMATS)
def test_lists_come_back_with_their_values(file_format):
    frame = objects([1, 2], [], None, [2**60 + 1])
    back = round_trip(frame, file_format)["c"]
    assert [None if cell is None else list(cell) for cell in back] == [[1, 2], [], None, [2**60 + 1]]
    nested = round_trip(objects([{"id": 28, "name": "Action"}], []), file_format)["c"]
    assert [list(cell) for cell in nested] == [[{"id": 28, "name": "Action"}], []]


REFUSED = {
    "labels twice": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "labels of several types": pd.DataFrame([[1, 2]], columns=[1, "a"]),
    "labels that would change": pd.DataFrame([[1, 2]], columns=[True, False]),
    "index named by a number": NUMBERS.set_axis(pd.Index([1, 2, 3, 4], name=7)),
    "rows without columns": pd.DataFrame(index=range(3)),
    "complex numbers": pd.DataFrame({"c": [1j]}),
    "Python objects": objects(object()),
    "texts and numbers": objects("a", 1),
    "texts and bytes": objects(b"a", "b"),
    "dates and times": objects(dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5)),  # noqa: DTZ001 - naive is meant
    "sets": objects({1}, {2}),
    "dicts of different keys": objects({"a": 1}, {"b": 2}),
    "half a surrogate pair": objects("\ud800"),
}


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_would_come_out_changed_is_refused(name, file_format):
    with pytest.raises(InvalidFrame) as refused:
        datafile.encode(REFUSED[name], file_format, "snappy")
    assert "\n" not in str(refused.value)


def test_a_column_of_objects_that_changes_its_kind_does_not_follow_the_plan():
    for frame in (objects("a"), objects("b"), objects(1, None), objects([1]), objects(None), objects("c")):
        back = [list(cell) if isinstance(cell, np.ndarray) else cell for cell in round_trip(frame)["c"]]
        assert back == frame["c"].tolist()


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("name", ["index of numbers, repeated", "texts", "categories of numbers", "nullable"])
def test_frames_that_come_out_can_be_written_to(name, file_format):
    back = round_trip(ROUND_TRIPS[name], file_format)
    for column in range(back.shape[1]):
        back.iloc[0, column] = back.iloc[-1, column]
        assert back.iloc[0, column] == back.iloc[-1, column] or pd.isna(back.iloc[0, column])


COLUMNS = {
    "float64": st.floats(width=64),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "object": st.none() | st.text(),
    "category": st.none() | st.text(max_size=3),
    "datetime64[ns]": st.none() | st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),  # noqa: DTZ001
}


@st.composite
def frames(draw):
    rows = draw(st.integers(0, 20))
    names = draw(st.lists(st.text(max_size=8), min_size=1, max_size=5, unique=True))
    columns = {}
    for name in names:
        kind = draw(st.sampled_from(sorted(COLUMNS)))
        cells = draw(st.lists(COLUMNS[kind], min_size=rows, max_size=rows))
        columns[name] = pd.Series(cells, dtype=kind)
    index = draw(st.none() | st.permutations(range(rows)))
    return pd.DataFrame(columns).set_axis(range(rows) if index is None else index)


@settings(max_examples=80, deadline=None)
@given(frames(), st.sampled_from(FORMATS))
def test_any_frame_comes_out_as_it_went_in(frame, file_format):
    assert_frame_equal(round_trip(frame, file_format), frame, check_column_type=False)
