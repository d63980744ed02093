import random

import numpy as np
import pandas as pd
import pytest

from stressd.workload.frames import STAMPS
from stressd.workload.inspection import Inspector

KEY, SEQ = 3, 7


def as_made(frame, _draw):
    return frame


def in_one_block_a_type(frame, _draw):
    return frame.copy(deep=True)._consolidate()


def a_block_a_column(frame, _draw):
    return pd.DataFrame({name: frame[name].array for name in frame.columns}, copy=False)


def in_another_order(frame, draw):
    return frame[draw.sample(list(frame.columns), frame.shape[1])]


def stamps_first(frame, _draw):
    return frame[[*STAMPS, *[name for name in frame.columns if name not in STAMPS]]].copy(deep=True)


def in_narrow_integers(frame, _draw):
    fits = [name for name in frame.columns if frame[name].dtype == np.int64 and name not in STAMPS]
    return frame.astype({name: np.int32 for name in fits if frame[name].abs().max() < 2**31})


LAID = (as_made, in_one_block_a_type, a_block_a_column, in_another_order, stamps_first, in_narrow_integers)


@pytest.fixture(params=["movies", "random"])
def content(request, movie_content, random_content):
    return {"movies": movie_content, "random": random_content}[request.param]


def passes(inspector, content, frame, name, seq=SEQ):
    """Whether all frames of a save pass, this one in the place of its own."""
    frames = {each: content.frame(KEY, each, SEQ) for each in content.names} | {name: frame}
    looked = inspector.look(frames)
    return looked is not None and inspector.right(frames, looked, KEY, seq, full=True)


@pytest.mark.parametrize("laid", LAID)
def test_a_right_frame_passes_however_pandas_has_laid_it(content, laid, run_seed):
    inspector, draw = Inspector(content), random.Random(run_seed)
    for name in content.names:
        frame = content.frame(KEY, name, SEQ)
        for _ in range(3):  # what was remembered of one lying is not taken for another
            assert passes(inspector, content, laid(frame, draw), name)
            assert passes(inspector, content, frame, name)
        assert not passes(inspector, content, laid(frame, draw), name, seq=SEQ + 1)


@pytest.mark.parametrize("laid", LAID)
def test_one_other_cell_in_any_column_is_seen_however_pandas_has_laid_it(content, laid, run_seed):
    inspector, draw = Inspector(content), random.Random(run_seed)
    for name in content.names:
        for column in content.frame(KEY, name, SEQ).columns:
            frame = content.frame(KEY, name, SEQ)
            row = draw.randrange(len(frame))
            frame[column] = changed(frame[column], row)
            assert not passes(inspector, content, laid(frame, draw), name), (name, column)


def changed(series, row):
    cells = list(series)
    cell = cells[row]
    match cell:
        case bool() | np.bool_():
            cells[row] = not cell
        case str():
            cells[row] = f"{cell}x"
        case np.ndarray() | list():
            cells[row] = [*cell, 1]
        case pd.Timestamp() | None:
            cells[row] = (cell or pd.Timestamp(0)) + pd.Timedelta(days=1)
        case _:
            cells[row] = pd.Timestamp("2001-02-03") if cell is pd.NaT else 0.5 if pd.isna(cell) else cell + 1
    return pd.Series(cells, dtype=series.dtype, index=series.index)


def test_columns_that_swapped_their_names_are_seen(content):
    for name in content.names:
        frame = content.frame(KEY, name, SEQ)
        columns = [column for column in frame.columns if column not in STAMPS]
        alike = ((a, b) for a in columns for b in columns if frame[a].dtype == frame[b].dtype)
        first, second = next((a, b) for a, b in alike if not frame[a].equals(frame[b]))
        swapped = frame.rename(columns={first: second, second: first})
        assert not passes(Inspector(content), content, swapped, name)
        assert not passes(Inspector(content), content, swapped[frame.columns], name)
