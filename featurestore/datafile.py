"""A data file: one feature's frame as the bytes of a Parquet or Arrow IPC file, and back.

Statistics and page checksums are left out (nobody reads parts of a file here, and the whole has a checksum in
the manifest), there is one row group, and dictionaries only where they pay: the defaults cost several times this.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xxhash

from featurestore import frames
from featurestore.config import Compression, Format
from featurestore.errors import InvalidFrame

_THREADS_FROM_BYTES = 16 * 1024 * 1024
_OBJECT_BYTES = 64  # a Python object and the pointer to it, roughly


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of a data file; rows of its frame; xxh3_64 of the bytes in hex; file name ending."""

    data: memoryview
    rows: int
    checksum: str
    ending: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame that nobody else has, its size in memory, and the positions of columns with mutable cells."""

    frame: pd.DataFrame
    bytes: int
    nested: list[int]


def encode(frame: object, file_format: Format, compression: Compression) -> Encoded:
    """Return the frame's file. Raises InvalidFrame where it could not come back the same. Thread-safe."""
    if not isinstance(frame, pd.DataFrame):
        raise InvalidFrame(f"a {type(frame).__name__} is no DataFrame; wrap it in one")
    converted = frames.to_table(frame)
    write = _parquet_bytes if file_format == "parquet" else _arrow_bytes
    try:
        data = memoryview(write(converted, compression))
    except frames.type_errors as error:
        raise InvalidFrame(f"{file_format} cannot hold it: {error}") from error
    if converted.needs_proof:
        _prove(frame, data, file_format)
    return Encoded(data, len(frame), checksum(data), file_format)


def decode(data: bytes | memoryview, ending: str) -> Decoded:
    """Return the frame in the file with these bytes, whose name ends in `ending`. Any exception means damage."""
    threads = len(data) >= _THREADS_FROM_BYTES
    if ending == "parquet":
        table = _parquet().ParquetFile(pa.BufferReader(data)).read(use_threads=threads)
    else:
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    frame = frames.to_frame(table, use_threads=threads)
    objects = sum(kind == np.dtype(object) for kind in frame.dtypes)
    return Decoded(frame, table.nbytes + objects * len(frame) * _OBJECT_BYTES, frames.nested_columns(table))


def checksum(data: bytes | memoryview) -> str:
    """xxh3_64 of the whole file, 16 hex digits."""
    return xxhash.xxh3_64_hexdigest(data)


def _parquet_bytes(converted: frames.Converted, compression: Compression) -> Any:
    sink = pa.BufferOutputStream()
    _parquet().write_table(
        converted.table,
        sink,
        compression=compression,
        row_group_size=max(converted.table.num_rows, 1),
        use_dictionary=converted.dictionary_columns or False,
        write_statistics=False,
    )
    return sink.getvalue()


def _arrow_bytes(converted: frames.Converted, compression: Compression) -> Any:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression if compression in ("lz4", "zstd") else None)
    with pa.ipc.new_file(sink, converted.table.schema, options=options) as writer:
        writer.write_table(converted.table)
    return sink.getvalue()


def _prove(frame: pd.DataFrame, data: memoryview, ending: str) -> None:
    """Unusual labels are read back before they are written: Arrow turns some into others without a word."""
    try:
        back = decode(data, ending).frame
    except frames.type_errors as error:
        raise InvalidFrame(f"its labels cannot be read back: {error}") from error
    if not frames.same_labels(frame, back):
        raise InvalidFrame(
            f"its labels would come back changed (columns {list(frame.columns)[:5]} as {list(back.columns)[:5]}, "
            f"index {frame.index.dtype} {list(frame.index.names)} as {back.index.dtype} {list(back.index.names)}); "
            "use texts as column names, and reset_index()"
        )


@cache
def _parquet() -> Any:
    """Import it when first needed: a process that never saves does not pay its memory."""
    import pyarrow.parquet  # noqa: PLC0415 - late on purpose

    return pyarrow.parquet
