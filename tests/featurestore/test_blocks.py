"""Frames put together here are the same as those that Arrow makes, and the caller's own."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from featurestore import blocks, datafile

ROWS = 70
NUMBERS = np.arange(ROWS)
PLAIN = {
    "floats": {"f": NUMBERS / 3, "g": NUMBERS * 2.0},
    "narrow": {"f": NUMBERS.astype("float32"), "i": NUMBERS.astype("int8"), "u": NUMBERS.astype("uint64")},
    "missing floats": {"f": np.where(NUMBERS % 3, NUMBERS, np.nan)},
    "flags": {"b": NUMBERS % 2 == 0, "i": NUMBERS, "c": NUMBERS % 3 == 0},
    "texts": {"s": [f"é{n}" for n in NUMBERS], "t": ["x", None] * (ROWS // 2), "i": NUMBERS},
    "times": {
        "a": pd.date_range("2020", periods=ROWS).as_unit("us"),
        "b": pd.to_datetime(["2020", None] * (ROWS // 2)),
    },
}
OTHERS = {
    "zones": {"a": pd.date_range("2020", periods=ROWS, tz="UTC")},
    "nullable": {"i": pd.array([1, None] * (ROWS // 2), "Int64")},
    "categories": {"c": pd.Categorical(["x", "y"] * (ROWS // 2))},
    "lists": {"c": [[1, 2]] * ROWS, "i": NUMBERS},
    "objects": {"c": pd.Series(["x", "y"] * (ROWS // 2), dtype=object)},
}

needs_blocks = pytest.mark.skipif(blocks._from_blocks is None, reason="pandas 2 has no way to make a frame of blocks")


@pytest.fixture(autouse=True)
def _nothing_known():
    blocks._layouts.clear()


def saved(frame, file_format="parquet"):
    for _ in range(2):  # the first teaches how to convert the others
        encoded = datafile.encode(frame, file_format, "snappy")
    return bytes(encoded.data)


def tables(monkeypatch):
    """Those that blocks makes a frame of from now on."""
    seen, restore = [], blocks.restore

    def noted(table):
        seen.append(restore(table))
        return seen[-1]

    monkeypatch.setattr(blocks, "restore", noted)
    return seen


@needs_blocks
@pytest.mark.parametrize("file_format", ["parquet", "arrow"])
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_columns_come_back_the_same_without_arrow(kind, file_format, monkeypatch):
    frame = pd.DataFrame(PLAIN[kind])
    data, seen = saved(frame, file_format), tables(monkeypatch)
    by_arrow, *others = [datafile.decode(data, file_format).frame for _ in range(3)]
    assert [one is None for one in seen] == [True, False, False]
    for got in (by_arrow, *others):
        pd.testing.assert_frame_equal(got, frame)
        assert [type(dtype) for dtype in got.dtypes] == [type(dtype) for dtype in frame.dtypes]
    for position in range(frame.shape[1]):
        others[0].iloc[0, position] = others[0].iloc[1, position]
    pd.testing.assert_frame_equal(others[1], frame)
    pd.testing.assert_frame_equal(datafile.decode(data, file_format).frame, frame)


@pytest.mark.parametrize("kind", OTHERS)
def test_all_else_is_left_to_arrow(kind, monkeypatch):
    frame = pd.DataFrame(OTHERS[kind])
    data, seen = saved(frame), tables(monkeypatch)
    for _ in range(3):
        pd.testing.assert_frame_equal(datafile.decode(data, "parquet").frame, frame)
    assert seen == [None] * 3


@needs_blocks
def test_its_size_is_what_its_cells_take():
    data = saved(pd.DataFrame(PLAIN["floats"]))
    for _ in range(2):
        assert ROWS * 16 <= datafile.decode(data, "parquet").bytes <= ROWS * 18


@needs_blocks
def test_where_numbers_are_missing_after_all_arrow_says_what_becomes_of_them():
    frame = pd.DataFrame({"i": NUMBERS, "f": NUMBERS / 2})
    data = saved(frame)
    datafile.decode(data, "parquet")
    table = pa.table({"i": [None, *range(1, ROWS)], "f": NUMBERS / 2})
    known = pa.ipc.open_file(pa.BufferReader(saved(frame, "arrow"))).read_all().schema
    known = pa.schema([field.with_nullable(True) for field in known], known.metadata)
    assert blocks.restore(pa.table({"i": NUMBERS, "f": NUMBERS / 2}).cast(known)) is not None
    assert blocks.restore(table.cast(known)) is None
    assert blocks.restore(table.slice(0, 0).cast(known)) is None


@needs_blocks
def test_a_table_of_other_types_is_not_taken_for_a_known_one():
    data = saved(pd.DataFrame({"i": NUMBERS}))
    datafile.decode(data, "parquet")
    table = pa.ipc.open_file(pa.BufferReader(saved(pd.DataFrame({"i": NUMBERS}), "arrow"))).read_all()
    assert blocks.restore(table) is not None
    other = table.cast(pa.schema([("i", pa.int32())], table.schema.metadata))
    assert blocks.restore(other) is None


def test_labels_of_one_frame_are_not_those_of_the_next():
    data = saved(pd.DataFrame(PLAIN["floats"]))
    for _ in range(3):
        got = datafile.decode(data, "parquet").frame
        assert got.columns.name is None
        got.columns.name = "mine"
        got.index.name = "mine"
