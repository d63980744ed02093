"""A data file's bytes: in one piece or in many, what is handed over is what the checksum is of."""

import errno
import itertools
import threading

import numpy as np
import pandas as pd
import pytest

from featurestore import FeatureStoreConfig, SimpleFeatureStore, datafile
from featurestore.disk import Disk

LARGE = datafile._PIECES_FROM_BYTES // 8 + 1


def frame(rows):
    return pd.DataFrame({"f": np.arange(rows) / 3, "i": np.arange(rows), "s": [f"é{n}" for n in range(rows)]})


def handed_over(encoded):
    chunks = []
    size, checksum = encoded.write(lambda data: chunks.append(bytes(data)))
    return chunks, size, checksum


@pytest.mark.parametrize(("file_format", "compression"), [("parquet", "snappy"), ("arrow", "none"), ("arrow", "zstd")])
@pytest.mark.parametrize("rows", [0, 3, LARGE])
def test_what_is_written_is_the_file(rows, file_format, compression):
    encoded = datafile.encode(frame(rows), file_format, compression)
    chunks, size, checksum = handed_over(encoded)
    data = b"".join(chunks)
    assert (size, checksum) == (len(data), datafile.checksum(data))
    assert data == encoded.data
    assert checksum == encoded.checksum
    pd.testing.assert_frame_equal(datafile.decode(data, file_format).frame, frame(rows))


def test_a_large_frame_is_not_copied_whole():
    large = frame(8 * LARGE)
    encoded = datafile.encode(large, "arrow", "none")
    values = large["f"].to_numpy()
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), values) for piece in encoded._pieces if len(piece))
    chunks, size, _ = handed_over(encoded)
    assert size > 16 * LARGE * 8
    assert {len(chunk) for chunk in chunks[:-1]} == {datafile._CHUNK_BYTES}


def test_a_frame_that_changes_during_its_save_is_saved_whole_all_the_same(tmp_path):
    values = np.zeros((3, 8 * LARGE))
    changing = pd.DataFrame(values.T, copy=False, columns=list("abc"))
    assert np.shares_memory(changing["a"].to_numpy(), values)

    class Scribbling(Disk):
        def write(self, fd, data):
            super().write(fd, data)
            values[:] += 1.0

    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path, format="arrow"), disk=Scribbling(durable=False))
    for _ in range(2):
        store.save_features("g", {"f": changing})
        assert len(set(store.get_features(["f"], "g")["f"]["c"])) > 1, "it was not copied first"
        assert store.verify() == []


def test_a_disk_that_fails_in_the_middle_stops_the_copying_too():
    encoded = datafile.encode(frame(8 * LARGE), "arrow", "none")
    threads, count = threading.active_count(), itertools.count()

    def fail(data):
        if next(count):
            raise OSError(errno.ENOSPC, "no space left on device")

    with pytest.raises(OSError, match="no space left"):
        encoded.write(fail)
    assert threading.active_count() == threads
