import contextlib
import datetime as dt
from itertools import permutations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.workload.canonical import KindMismatch, cells, columns_sum, constant_digest, digest, sums_to

NAN_WITH_PAYLOAD = np.array([0x7FF8_0000_DEAD_BEEF], np.uint64).view(np.float64)[0]
INSTANTS = ["2020-02-29 12:00:00.123", None, "1969-07-20"]


def of_series(values, dtype):
    return pd.Series(values, dtype=dtype).array


def lists(values):
    cells_ = np.empty(len(values), object)
    cells_[:] = values
    return cells_


# The first of each is what content is made of; the others hold the same.
SAME = {
    "bool": [
        np.array([True, False, True]),
        np.array([1, 0, 1], np.int8),
        np.array([1.0, 0.0, 1.0]),
        np.array([True, False, True], object),
        np.array([False, True, False, True])[1:],
        of_series([True, False, True], "boolean"),
        of_series([True, False, True], pd.ArrowDtype(pa.bool_())),
        of_series([True, False, True], "category"),
    ],
    "int": [
        np.array([5, -1, 7]),
        np.array([5, -1, 7], np.int16),
        np.array([5, -1, 7], ">i4"),
        np.array([[5, 0], [-1, 0], [7, 0]])[:, 0],
        np.array([5, -1, 7], object),
        of_series([5, -1, 7], "Int64"),
        of_series([5, -1, 7], pd.ArrowDtype(pa.int32())),
        of_series([5, -1, 7], "category"),
    ],
    "int, with a null": [
        of_series([5, None, 7], "Int64"),
        np.array([5, np.nan, 7]),
        np.array([5, None, 7], object),
        of_series([5, None, 7], pd.ArrowDtype(pa.int16())),
        of_series([5, None, 7], "category"),
    ],
    "float": [
        np.array([1.5, np.nan, 0.0]),
        np.array([1.5, NAN_WITH_PAYLOAD, -0.0]),
        np.array([1.5, np.nan, 0], np.float32),
        np.array([1.5, np.nan, 0], np.float16),
        np.array([1.5, None, -0.0], object),
        of_series([1.5, None, 0], "Float64"),
        of_series([1.5, None, -0.0], pd.ArrowDtype(pa.float32())),
    ],
    "instant": [
        np.array(INSTANTS, "M8[us]"),
        np.array(INSTANTS, "M8[ms]"),
        np.array(INSTANTS, "M8[ns]"),
        of_series(INSTANTS, "M8[ms]"),
        pd.Series(np.array(INSTANTS, "M8[ns]")).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo").array,
        of_series(np.array(INSTANTS, "M8[us]"), pd.ArrowDtype(pa.timestamp("us", "UTC"))),
        np.array([pd.Timestamp(INSTANTS[0]), None, pd.Timestamp(INSTANTS[2])], object),
    ],
    "instant, whole days": [
        np.array(["2020-02-29", "1969-07-20"], "M8[us]"),
        np.array(["2020-02-29", "1969-07-20"], "M8[s]"),
        np.array([dt.date(2020, 2, 29), dt.date(1969, 7, 20)], object),
        of_series([dt.date(2020, 2, 29), dt.date(1969, 7, 20)], pd.ArrowDtype(pa.date32())),
    ],
    "instant, with nanoseconds": [
        np.array([1, 1_001, -1], "M8[ns]"),
        of_series(np.array([1, 1_001, -1], "M8[ns]"), pd.ArrowDtype(pa.timestamp("ns"))),
        pd.Series(np.array([1, 1_001, -1], "M8[ns]"), dtype="M8[ns]").dt.tz_localize("UTC").array,
    ],
    "text": [
        pd.Series(["", "añb", None, "雪"]).array,
        np.array(["", "añb", None, "雪"], object),
        np.array(["", "añb", np.nan, "雪"], object),
        of_series(["", "añb", None, "雪"], "string[python]"),
        of_series(["", "añb", None, "雪"], "string[pyarrow]"),
        of_series(["", "añb", None, "雪"], pd.ArrowDtype(pa.string())),
        of_series(["", "añb", None, "雪"], pd.ArrowDtype(pa.large_string())),
        of_series(["", "añb", None, "雪"], "category"),
        pa.array(["x", "", "añb", None, "雪", "y"]).slice(1, 4),
        pa.chunked_array([["", "añb"], [None, "雪"]]),
    ],
    "ints": [
        lists([[1, 2], [], None, [3]]),
        lists([np.array([1, 2], np.int32), np.array([], np.int32), None, np.array([3], np.int32)]),
        lists([(1, 2), (), None, (3,)]),
        lists([np.array([1, 2]), np.array([], np.int64), None, np.array([3])]),
        pa.array([[9], [1, 2], [], None, [3]], pa.list_(pa.int16())).slice(1),
        of_series([[1, 2], [], None, [3]], pd.ArrowDtype(pa.large_list(pa.int64()))),
    ],
    "ints, without nulls": [
        lists([[1, 2], [], [3], []]),
        lists([np.array([1, 2]), np.array([], np.int64), np.array([3]), np.array([], np.int64)]),
        lists([np.array([[1, 0], [2, 0]])[:, 0], np.array([], np.int64), np.array([3]), np.array([], np.int64)]),
        lists([np.array([1, 2], np.int8), np.array([], np.int64), np.array([3]), np.array([], np.uint16)]),
        pa.array([[9], [1, 2], [], [3], []], pa.large_list(pa.int64())).slice(1),
    ],
    "ints, with null items": [
        lists([[1, None], [], None, [3]]),
        pa.array([[1, None], [], None, [3]], pa.list_(pa.int16())),
    ],
    "texts": [
        lists([["a", ""], [], None, ["bc"]]),
        lists([np.array(["a", ""], object), np.array([], object), None, np.array(["bc"], object)]),
        pa.array([["x"], ["a", ""], [], None, ["bc"]]).slice(1),
    ],
}
DIFFERENT = {
    "bool": [[True, False], [False, True], [True, None]],
    "int": [[1, 2], [2, 1], [1, 0], [1, None], [None, 1]],
    "float": [[0.0, 1.0], [1.0, 0.0], [np.nan, 1.0], [0.0, np.inf], [0.0, -np.inf]],
    "instant": [np.array(v, "M8[ns]") for v in ([0, 1], [0, 1000], [0, 0], ["NaT", 0], [0, "NaT"], [1, 1000])],
    "text": [["", "a"], [None, "a"], ["a", ""], ["a", None], ["ab", "c"], ["a", "bc"], ["abc", ""], ["null", "a"]],
    "ints": [
        lists(v)
        for v in (
            [[1], [2]],
            [[1, 2], []],
            [[1], [0]],
            [[1], [None]],
            [[], [1, 2]],
            [None, [1, 2]],
            [[2], [1]],
            [None, None],
        )
    ],
    "texts": [lists(v) for v in ([["ab"], []], [["a", "b"], []], [["a"], ["b"]], [["ab"], None], [[""], ["ab"]])],
}
MISMATCHES = [
    ("bool", np.array([0, 1, 2])),
    ("bool", np.array(["True"], object)),
    ("int", np.array([1.0, 2.0])),
    ("int", np.array([1.5, np.nan])),
    ("int", np.array(["1"], object)),
    ("int", np.array([2**63], np.uint64)),
    ("float", np.array([1, 2])),
    ("float", np.array(["1.5"], object)),
    ("instant", np.array([0, 1])),
    ("instant", np.array(["2020-01-01"], object)),
    ("text", np.array([1, 2])),
    ("text", np.array([b"bytes"], object)),
    ("text", np.array([1, "a"], object)),
    ("text", np.array(["\ud800"], object)),
    ("ints", lists([["a"]])),
    ("ints", lists([[1.5]])),
    ("texts", lists([[1]])),
    ("ints", np.array([1, 2])),
]


def kind_of(case):
    return case.split(",")[0]


@pytest.mark.parametrize(
    ("case", "number"), [(case, number) for case, columns in SAME.items() for number in range(1, len(columns))]
)
def test_another_representation_is_the_same_content(case, number):
    kind, columns = kind_of(case), SAME[case]
    assert columns_sum([columns[number]], [kind], 7) == columns_sum([columns[0]], [kind], 7)
    assert cells(columns[number], kind).tolist() == cells(columns[0], kind).tolist()


@pytest.mark.parametrize(
    ("case", "number"), [(case, number) for case, columns in SAME.items() for number in range(len(columns))]
)
def test_a_column_has_its_sum_however_it_lies_and_no_other(case, number):
    kind, columns = kind_of(case), SAME[case]
    total = columns_sum([columns[0]], [kind], 7)
    assert sums_to([columns[number]], [kind], 7, total)
    assert not sums_to([columns[number]], [kind], 7, total ^ 1)
    assert not sums_to([columns[number]], [kind], 8, total)


@pytest.mark.parametrize("kind", DIFFERENT)
def test_other_content_never_has_the_sum(kind):
    columns = [v if isinstance(v, np.ndarray) else np.array(v, object) for v in DIFFERENT[kind]]
    for one, other in permutations(columns, 2):
        assert not sums_to([one], [kind], 7, columns_sum([other], [kind], 7))


@pytest.mark.parametrize("dtype", [np.float64, np.bool_, "M8[us]", "S8", ">i8"])
def test_lists_whose_bytes_are_right_but_not_their_kind_are_told(dtype):
    lists_of_ints = [np.array([1, 2]), np.array([3])]
    total = columns_sum([lists(lists_of_ints)], ["ints"], 7)
    for lie in ([lists_of_ints[0].view(dtype), lists_of_ints[1]], [item.view(dtype) for item in lists_of_ints]):
        with contextlib.suppress(KindMismatch):
            assert not sums_to([lists(lie)], ["ints"], 7, total)


def test_a_stamp_is_told_by_its_digest():
    for numbers in ([5, 5, 5], [-1, -1], [2**63 - 1]):
        column = np.array([numbers, numbers]).T[:, 0]  # strided
        assert digest(column) == constant_digest(len(numbers), numbers[0])
        assert digest(column) != constant_digest(len(numbers), numbers[0] ^ 1)
        assert digest(column) != constant_digest(len(numbers) + 1, numbers[0])
        assert digest(np.array([*numbers[:-1], numbers[-1] ^ 1])) != constant_digest(len(numbers), numbers[0])


@pytest.mark.parametrize("kind", DIFFERENT)
def test_other_content_has_another_sum(kind):
    columns = [v if isinstance(v, np.ndarray) else np.array(v, object) for v in DIFFERENT[kind]]
    assert len({columns_sum([column], [kind], 7) for column in columns}) == len(columns)


@pytest.mark.parametrize("kind", DIFFERENT)
def test_cells_differ_exactly_where_the_content_does(kind):
    first, second = (v if isinstance(v, np.ndarray) else np.array(v, object) for v in DIFFERENT[kind][:2])
    same = [str(a) == str(b) for a, b in zip(first, second, strict=True)]
    assert (cells(first, kind) == cells(second, kind)).tolist() == same


@pytest.mark.parametrize(("kind", "column"), MISMATCHES)
def test_another_kind_is_told(kind, column):
    with pytest.raises(KindMismatch):
        columns_sum([column], [kind], 7)


def test_the_seed_and_the_order_of_columns_count():
    a, b = np.array([1, 2]), np.array([3, 4])
    sums = {columns_sum(columns, ["int", "int"], seed) for columns in ([a, b], [b, a]) for seed in (1, 2)}
    assert len(sums) == 4


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])))), st.data())
def test_texts_hash_by_what_they_say_however_they_lie(texts, data):
    start = data.draw(st.integers(0, len(texts)))
    part = texts[start:]
    forms = [
        np.array(part, object),
        pa.array(texts, pa.string()).slice(start),
        pa.array(texts, pa.large_string()).slice(start),
        pa.array(texts, pa.string()).dictionary_encode().slice(start),
        pd.Series(part, dtype="string[pyarrow]").array,
    ]
    assert len({columns_sum([form], ["text"], 1) for form in forms}) == 1
    other = [*part, ""]
    assert columns_sum([np.array(other, object)], ["text"], 1) != columns_sum([forms[0]], ["text"], 1)
