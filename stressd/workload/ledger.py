"""What had been promised and acknowledged: one mmapped file that outlives the kill of every process.

Byte layout, little-endian, all cells u64 unless said otherwise:

    0      magic "STRESSDL"
    8      version 2
    16     keys
    24     writers
    32     run id, 64 bytes of ASCII, zero-padded
    96     boot id, 64 bytes of ASCII, zero-padded
    160    xxh3-64 of bytes 0-159
    4096   slots: keys × writers of 64 bytes, the writers of a key side by side
    then   for each key two cells: newest sequence seen by any reader | newest sequence known to be lost

A slot is eight cells, and has one writer, so there are no locks:

    intent_seq | acked_seq | acked_commit | failed_bits | unknown_bits | intent_sum | state, epoch << 8 |
    verified_seq

The bits are the outcomes of the last 64 sequences: bit s mod 64 belongs to the newest s ≤ intent_seq that
fits. Sequences begin at 1; 0 is none. A commit is stored plus one; 0 is none.

Orders that must hold. The owner clears a sequence's bits and stores its sum before it stores `intent_seq`,
all that before it saves; and it stores `acked_seq` last. A reader loads the bits first and `intent_seq` after
them: while that is less than 64 ahead, the bit belonged to the sequence it asks for. Each cell is stored with
one aligned 8-byte write (an item of `memoryview.cast("Q")`), so that nobody sees half of one.

A key's own two cells are written by many without a lock: a lost update makes the check weaker for a while and
can accuse nobody. The second is the excuse: after a confirmed loss the lost sequence no longer holds readers
to anything, until a newer one is acknowledged; so one lost save is reported once, not by each read after it.
"""

import errno
import mmap
import os
from enum import IntEnum
from typing import Final, NamedTuple, Self

import xxhash

MAGIC: Final = int.from_bytes(b"STRESSDL", "little")
VERSION: Final = 2  # grows with the way sums are made, too: those of another could not be judged
HEADER_BYTES: Final = 4096
SLOT_BYTES: Final = 64
SLOT_CELLS: Final = SLOT_BYTES // 8
KEY_CELLS: Final = 2
WINDOW: Final = 64
MASK: Final = 2**64 - 1

INTENT, ACKED, COMMIT, FAILED, UNKNOWN, SUM, STATE, VERIFIED = range(SLOT_CELLS)
SEEN, EXCUSED = range(KEY_CELLS)

_ID_BYTES: Final = 64
_RUN_AT: Final = 32
_BOOT_AT: Final = _RUN_AT + _ID_BYTES
_CHECKSUM_AT: Final = _BOOT_AT + _ID_BYTES
_EPOCH_SHIFT: Final = 8


class State(IntEnum):
    """What a slot is for."""

    FREE = 0
    OWNED = 1
    RETIRED = 2  # its last save may still land; nothing is written any more and either value stays allowed


class Outcome(IntEnum):
    """What is known about one save."""

    NEVER = 0  # not yet begun
    IN_FLIGHT = 1
    ACKED = 2
    FAILED = 3  # definitely: must never be seen
    UNKNOWN = 4  # may be seen or not
    PAST = 5  # older than the newest acknowledged one, and not failed as far as the window reaches


class Slot(NamedTuple):
    """A slot as it stands: for reports, not for the hot path."""

    intent_seq: int
    acked_seq: int
    acked_commit: int | None
    failed_bits: int
    unknown_bits: int
    intent_sum: int
    state: State
    epoch: int
    verified_seq: int


class Ledger:
    """An open ledger. Each slot may be written by one thread; anyone may read, any time, from any process.

    `slots` and `marks` are the raw cells, for a loop that cannot pay for a call.
    """

    def __init__(self, path: str, mapped: mmap.mmap, keys: int, writers: int, run_id: str, boot_id: str) -> None:
        self.path, self.keys, self.writers, self.run_id, self.boot_id = path, keys, writers, run_id, boot_id
        self._map = mapped
        self._stride = SLOT_CELLS * writers
        cells = memoryview(mapped).cast("Q")
        first = HEADER_BYTES // 8
        self.slots = cells[first : first + self._stride * keys]
        self.marks = cells[first + self._stride * keys :]

    @classmethod
    def create(cls, path: str, keys: int, writers: int = 1, *, run_id: str, boot_id: str) -> Self:
        """Create the file, empty, in place of what is there; a full disk fails here, not later."""
        fresh = f"{path}.new"
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _size(keys, writers))
            os.pwrite(fd, _header(keys, writers, run_id, boot_id), 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(fresh, path)
        return cls.open(path)

    @classmethod
    def open(cls, path: str) -> Self:
        """Map an existing ledger. ValueError if it is none, of another version, damaged, or of the wrong length."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            header = os.pread(fd, HEADER_BYTES, 0)
            keys, writers, run_id, boot_id = _parsed(path, header)
            size = os.fstat(fd).st_size
            if size != _size(keys, writers):
                raise ValueError(
                    f"{path}: {size} bytes, but {keys} keys and {writers} writers take {_size(keys, writers)}; "
                    "it was cut or put together from two, so start with an empty state folder"
                )
            mapped = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        return cls(path, mapped, keys, writers, run_id, boot_id)

    def archive(self, path: str) -> None:
        """Move the file to `path`, in place of what is there, all of it on disk. The mapping stays good."""
        self._map.flush()
        os.replace(self.path, path)
        self.path = path

    def close(self) -> None:
        """Let go of the mapping. Nobody may use what was bound from it any more."""
        self.slots.release()
        self.marks.release()
        self._map.close()

    # --- The owner's part: one thread per slot ---------------------------------------------------

    def at(self, key: int, writer: int = 0) -> int:
        """Return the place of the slot's first cell in `slots`. IndexError for a key or writer that is not there."""
        if not (0 <= key < self.keys and 0 <= writer < self.writers):
            raise IndexError(f"{self.path}: no slot for key {key}, writer {writer}: {self.keys} × {self.writers}")
        return key * self._stride + writer * SLOT_CELLS

    def claim(self, key: int, writer: int = 0) -> int:
        """Take the slot over for a new incarnation of its owner, and return the epoch. A retired slot stays retired."""
        slots, at = self.slots, self.at(key, writer)
        epoch = (slots[at + STATE] >> _EPOCH_SHIFT) + 1
        retired = slots[at + STATE] & 0xFF == State.RETIRED
        slots[at + STATE] = epoch << _EPOCH_SHIFT | (State.RETIRED if retired else State.OWNED)
        return epoch

    def retire(self, key: int, writer: int = 0) -> None:
        """Mark that nothing is written to the slot any more."""
        slots, at = self.slots, self.at(key, writer)
        slots[at + STATE] = slots[at + STATE] >> _EPOCH_SHIFT << _EPOCH_SHIFT | State.RETIRED

    def retired(self, key: int, writer: int = 0) -> bool:
        """Whether nothing may be written to the slot any more."""
        return self.slots[key * self._stride + writer * SLOT_CELLS + STATE] & 0xFF == State.RETIRED

    def intent(self, key: int, seq: int, total: int, writer: int = 0) -> None:
        """Promise that a save of `seq` may begin; `total` is its sum. To be called before the save, and in turn."""
        slots = self.slots
        at = key * self._stride + writer * SLOT_CELLS
        bit = 1 << (seq & 63)
        if slots[at + FAILED] & bit:
            slots[at + FAILED] &= MASK ^ bit
        if slots[at + UNKNOWN] & bit:
            slots[at + UNKNOWN] &= MASK ^ bit
        slots[at + SUM] = total
        slots[at] = seq

    def ack(self, key: int, seq: int, commit: int | None = None, writer: int = 0) -> None:
        """Record that the save of `seq` was acknowledged."""
        slots = self.slots
        at = key * self._stride + writer * SLOT_CELLS
        slots[at + COMMIT] = 0 if commit is None else commit + 1
        if slots[at + UNKNOWN]:
            slots[at + UNKNOWN] &= MASK ^ (1 << (seq & 63))
        slots[at + ACKED] = seq

    def fail(self, key: int, seq: int, writer: int = 0) -> None:
        """Record that the save of `seq` definitely failed: its value must never be seen."""
        slots = self.slots
        at = key * self._stride + writer * SLOT_CELLS
        bit = 1 << (seq & 63)
        slots[at + FAILED] |= bit
        slots[at + UNKNOWN] &= MASK ^ bit

    def unknown(self, key: int, seq: int, writer: int = 0) -> None:
        """Record that nobody knows whether the save of `seq` took place."""
        slots = self.slots
        slots[key * self._stride + writer * SLOT_CELLS + UNKNOWN] |= 1 << (seq & 63)

    def verified(self, key: int, seq: int, writer: int = 0) -> bool:
        """Record that the owner read `seq` back and found it right; True if it is the first to be recorded."""
        slots = self.slots
        at = key * self._stride + writer * SLOT_CELLS + VERIFIED
        if seq <= slots[at]:
            return False
        slots[at] = seq
        return True

    # --- Anyone's part ---------------------------------------------------------------------------

    def newest_intent(self, key: int, writer: int = 0) -> int:
        """Return the newest sequence that may have been saved."""
        return self.slots[key * self._stride + writer * SLOT_CELLS]

    def acked(self, key: int, writer: int = 0) -> int:
        """Return the newest acknowledged sequence; 0 if there is none."""
        return self.slots[key * self._stride + writer * SLOT_CELLS + ACKED]

    def floor(self, key: int, writer: int = 0) -> int:
        """Return the newest acknowledged sequence that is not known to be lost; 0 if there is none."""
        acked = self.slots[key * self._stride + writer * SLOT_CELLS + ACKED]
        return acked if acked > self.marks[key * KEY_CELLS + EXCUSED] else 0

    def newest_seen(self, key: int) -> int:
        """Return the newest sequence that any reader has seen and found right."""
        return self.marks[key * KEY_CELLS]

    def see(self, key: int, seq: int) -> None:
        """Record that a reader has seen `seq`. Any thread of any process."""
        at = key * KEY_CELLS
        if seq > self.marks[at]:  # noqa: PLR1730 - max() would store, and dirty the page, each time
            self.marks[at] = seq

    def excused(self, key: int) -> int:
        """Return the newest sequence that is known to be lost."""
        return self.marks[key * KEY_CELLS + EXCUSED]

    def excuse(self, key: int, seq: int) -> None:
        """Record that `seq`, acknowledged, is lost, so that readers are not held to it. Any thread of any process."""
        at = key * KEY_CELLS + EXCUSED
        if seq > self.marks[at]:  # noqa: PLR1730 - max() would store, and dirty the page, each time
            self.marks[at] = seq

    def outcome(self, key: int, seq: int, writer: int = 0) -> Outcome:
        """Return what is known about the save of `seq`."""
        slots, at = self.slots, self.at(key, writer)
        bit = 1 << (seq & 63)
        failed, unknown = slots[at + FAILED] & bit, slots[at + UNKNOWN] & bit
        acked = slots[at + ACKED]
        intent = slots[at]  # after the bits: see the orders above
        if seq > intent or seq < 1:
            return Outcome.NEVER
        if seq == acked:
            return Outcome.ACKED
        if intent - seq < WINDOW and (failed or unknown):
            return Outcome.FAILED if failed else Outcome.UNKNOWN
        return Outcome.PAST if seq < acked else Outcome.IN_FLIGHT

    def slot(self, key: int, writer: int = 0) -> Slot:
        """Return the slot as it stands."""
        at = self.at(key, writer)
        cells = self.slots[at : at + SLOT_CELLS].tolist()
        intent, acked, commit, failed, unknown, total, state, verified = cells
        kind, epoch = State(state & 0xFF), state >> _EPOCH_SHIFT
        return Slot(intent, acked, commit - 1 if commit else None, failed, unknown, total, kind, epoch, verified)


def open_or_none(path: str) -> Ledger | None:
    """Return the ledger at `path`, or None if there is no file. ValueError like `Ledger.open`."""
    try:
        return Ledger.open(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def _size(keys: int, writers: int) -> int:
    return HEADER_BYTES + keys * (writers * SLOT_BYTES + KEY_CELLS * 8)


def _header(keys: int, writers: int, run_id: str, boot_id: str) -> bytes:
    if keys < 1 or writers < 1:
        raise ValueError(f"a ledger needs at least one key and one writer, not {keys} and {writers}")
    numbers = b"".join(number.to_bytes(8, "little") for number in (MAGIC, VERSION, keys, writers))
    covered = numbers + _padded("run id", run_id) + _padded("boot id", boot_id)
    checksum = xxhash.xxh3_64_intdigest(covered).to_bytes(8, "little")
    return (covered + checksum).ljust(HEADER_BYTES, b"\0")


def _padded(what: str, text: str) -> bytes:
    raw = text.encode("ascii")
    if len(raw) > _ID_BYTES:
        raise ValueError(f"{what}: {text!r} is longer than {_ID_BYTES} characters")
    return raw.ljust(_ID_BYTES, b"\0")


def _parsed(path: str, header: bytes) -> tuple[int, int, str, str]:
    if len(header) < HEADER_BYTES or int.from_bytes(header[:8], "little") != MAGIC:
        raise ValueError(f"{path}: not a ledger of stressd")
    version, keys, writers = (int.from_bytes(header[at : at + 8], "little") for at in (8, 16, 24))
    if version != VERSION:
        raise ValueError(f"{path}: a ledger of version {version}; this stressd reads version {VERSION}")
    checksum = int.from_bytes(header[_CHECKSUM_AT : _CHECKSUM_AT + 8], "little")
    if checksum != xxhash.xxh3_64_intdigest(header[:_CHECKSUM_AT]):
        raise ValueError(f"{path}: the header is damaged (its checksum is wrong); start with an empty state folder")
    run_id = header[_RUN_AT:_BOOT_AT].rstrip(b"\0").decode("ascii")
    return keys, writers, run_id, header[_BOOT_AT:_CHECKSUM_AT].rstrip(b"\0").decode("ascii")
