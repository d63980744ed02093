"""A data file: one feature's frame as the bytes of a Parquet or Arrow IPC file, and back.

Statistics and page checksums are left out (nobody reads parts of a file here, and the whole has a checksum in
the manifest), there is one row group, and dictionaries only where they pay: the defaults cost several times this.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xxhash

from featurestore import blocks, frames
from featurestore.config import Compression, Format
from featurestore.errors import InvalidFrame

_THREADS_FROM_BYTES = 16 * 1024 * 1024
_PIECES_FROM_BYTES = 1024 * 1024
_CHUNK_BYTES = 2 * 1024 * 1024
_OBJECT_BYTES = 64  # a Python object and the pointer to it, roughly


class Encoded:
    """A data file's bytes, which may lie in several pieces of memory; rows of its frame; file name ending.

    The pieces of a large frame are the caller's own arrays, uncopied: whoever changes the frame during the save
    saves either value, in a file that is whole all the same.
    """

    __slots__ = ("_pieces", "ending", "rows")

    def __init__(self, pieces: Sequence[Any], rows: int, ending: str) -> None:
        self._pieces = pieces
        self.rows = rows
        self.ending = ending

    @property
    def data(self) -> memoryview:
        """The file, in one piece from now on."""
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return memoryview(self._pieces[0]).cast("B")

    @property
    def checksum(self) -> str:
        """xxh3_64 of the file in hex."""
        return checksum(self.data)

    def write(self, put: Callable[[memoryview], object]) -> tuple[int, str]:
        """Hand the file to `put`, bytes after bytes; returns how many, and xxh3_64 of what was handed over, in hex."""
        if len(self._pieces) == 1:
            put(self.data)
            return len(self.data), self.checksum
        size, seen = 0, xxhash.xxh3_64()
        for chunk in _one_ahead(_chunks(self._pieces, seen)):
            put(chunk)
            size += len(chunk)
        return size, seen.hexdigest()


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
    converted = frames.to_table(frame, nan_is_missing=file_format == "parquet")
    encode_pieces = _parquet_pieces if file_format == "parquet" else _arrow_pieces
    try:
        encoded = Encoded(encode_pieces(converted, compression), len(frame), file_format)
    except frames.type_errors as error:
        raise InvalidFrame(f"{file_format} cannot hold it: {error}") from error
    if converted.needs_proof:
        _prove(frame, encoded)
    return encoded


def decode(data: bytes | memoryview, ending: str) -> Decoded:
    """Return the frame in the file with these bytes, whose name ends in `ending`. Any exception means damage."""
    threads = len(data) >= _THREADS_FROM_BYTES
    if ending == "parquet":
        table = _parquet().ParquetFile(pa.BufferReader(data)).read(use_threads=threads)
    else:
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    restored = blocks.restore(table)
    if restored is not None:
        return Decoded(*restored, [])
    frame = frames.to_frame(table, use_threads=threads)
    blocks.learn(table, frame)
    objects = sum(kind == np.dtype(object) for kind in frame.dtypes)
    return Decoded(frame, table.nbytes + objects * len(frame) * _OBJECT_BYTES, frames.nested_columns(table))


def checksum(data: bytes | memoryview) -> str:
    """xxh3_64 of the whole file, 16 hex digits."""
    return xxhash.xxh3_64_hexdigest(data)


def _parquet_pieces(converted: frames.Converted, compression: Compression) -> list[Any]:
    sink = pa.BufferOutputStream()
    _parquet().write_table(
        converted.table,
        sink,
        compression=compression,
        row_group_size=max(converted.table.num_rows, 1),
        use_dictionary=converted.dictionary_columns or False,
        write_statistics=False,
    )
    return [sink.getvalue()]


def _arrow_pieces(converted: frames.Converted, compression: Compression) -> list[Any]:
    table = converted.table
    sink: Any = pa.BufferOutputStream() if table.nbytes < _PIECES_FROM_BYTES else _Pieces()
    options = pa.ipc.IpcWriteOptions(compression=compression if compression in ("lz4", "zstd") else None)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.pieces if isinstance(sink, _Pieces) else [sink.getvalue()]


class _Pieces:
    """A file for Arrow to write to that keeps the buffers it is given, instead of a copy of them."""

    closed = False

    def __init__(self) -> None:
        self.pieces: list[Any] = []

    def write(self, piece: Any) -> None:
        self.pieces.append(piece)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _chunks(pieces: Iterable[Any], seen: Any) -> Iterator[memoryview]:
    """Yield all their bytes, copied and hashed. A chunk's room is used again for the next but one."""
    rooms = itertools.cycle([np.empty(_CHUNK_BYTES, np.uint8) for _ in range(2)])
    room, filled = next(rooms), 0
    for piece in pieces:
        rest = np.frombuffer(piece, np.uint8)
        while len(rest):
            part = rest[: _CHUNK_BYTES - filled]
            room[filled : filled + len(part)] = part
            rest = rest[len(part) :]
            filled += len(part)
            if filled == _CHUNK_BYTES:
                seen.update(room)
                yield room.data
                room, filled = next(rooms), 0
    seen.update(room[:filled])
    yield room[:filled].data


def _one_ahead(chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    """Have each chunk made in a thread, while the one before it is in use."""
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = maker.submit(next, chunks, None)
            yield chunk


def _prove(frame: pd.DataFrame, encoded: Encoded) -> None:
    """Unusual labels are read back before they are written: Arrow turns some into others without a word."""
    try:
        back = decode(encoded.data, encoded.ending).frame
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
