"""A file system in memory that keeps a record, and what a power cut may leave at each moment of it.

Certain are a file's content once the file was synced and a folder's entries once the folder was. Whatever came
after is there or not, each change on its own: a new entry, a removed one, a new folder with all that is in it. A
link, a rename and a symbolic link are each one change. A file that was not synced is empty, cut short, zeros to its
end, or whole. This is harsher than any file system in use, which keep at least some of the order.
"""

import itertools
import os
import random
import stat
import sys
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

from featurestore import manifest
from featurestore.disk import Disk

ROOT = 1


@dataclass(frozen=True)
class Entries:
    """One change of a folder: (name, inode or None where it goes), all together or not at all."""

    folder: int
    changes: tuple


@dataclass(frozen=True)
class Content:
    file: int
    data: bytes


@dataclass(frozen=True)
class Synced:
    inode: int
    site: str  # which line of the store asked for it


@dataclass(frozen=True)
class Note:
    """Something that the model of the store has to know: its kind and a value."""

    kind: str
    value: object


class Kernel:
    """What all processes of one machine share: inodes, locks, and the record of every change."""

    def __init__(self, tree=None):
        self.inodes = {ROOT: {}}  # a dict is a folder, bytes are a file, a text is a symbolic link
        self.born = {ROOT: 1}
        self.events = []
        self.locks = {}
        self.fds = itertools.count(1000)
        for path, content in (tree or {}).items():
            folder, name = self.parent(path)
            self.inodes[folder][name] = self.new({} if content is None else content)
        self.birth = {
            n: dict(i) if isinstance(i, dict) else i for n, i in self.inodes.items()
        }  # nothing of it is in doubt

    def now(self):
        return float(len(self.events) + len(self.inodes))

    def new(self, content):
        number = len(self.inodes) + 1
        self.inodes[number] = content
        self.born[number] = self.now()
        return number

    def find(self, path):
        number = ROOT
        for name in path.split("/"):
            if name:
                entries = self.inodes[number]
                if not isinstance(entries, dict):
                    raise NotADirectoryError(20, "not a directory", path)
                if name not in entries:
                    raise FileNotFoundError(2, "no such file", path)
                number = entries[name]
        return number

    def parent(self, path):
        folder, _, name = path.rpartition("/")
        return self.find(folder), name

    def change(self, folder, **changes):
        entries = self.inodes[folder]
        for name, number in changes.items():
            entries.pop(name, None)
            if number is not None:
                entries[name] = number
        self.events.append(Entries(folder, tuple(changes.items())))

    def note(self, kind, value=None):
        self.events.append(Note(kind, value))


class Killed(BaseException):
    """The process is dead: no handler of it runs to any effect."""


class MemoryDisk(Disk):
    """One process's view of a kernel. `before(name, args)` is called before each call, and may run another process."""

    def __init__(self, kernel, before=None):
        super().__init__()
        self.kernel = kernel
        self.before = before
        self.dead = False
        self.opened = {}

    def _enter(self, name, *args):
        if self.dead:
            raise Killed
        if self.before is not None:
            self.before(name, args)

    def die(self):
        self.dead = True
        for fd in self.opened:
            self._unlock(fd)
        raise Killed

    def _unlock(self, fd):
        if self.kernel.locks.get(self.opened[fd]) == fd:
            del self.kernel.locks[self.opened[fd]]

    def _descriptor(self, number):
        fd = next(self.kernel.fds)
        self.opened[fd] = number
        return fd

    def create(self, path):
        self._enter("create", path)
        folder, name = self.kernel.parent(path)
        if name in self.kernel.inodes[folder]:
            raise FileExistsError(17, "file exists", path)
        number = self.kernel.new(b"")
        self.kernel.change(folder, **{name: number})
        return self._descriptor(number)

    def write(self, fd, data):
        self._enter("write", fd)
        number = self.opened[fd]
        self.kernel.inodes[number] += bytes(data)
        self.kernel.events.append(Content(number, self.kernel.inodes[number]))

    def start_writing(self, fd):
        self._enter("start_writing", fd)

    def sync(self, fd):
        self._enter("sync", fd)
        self.kernel.events.append(Synced(self.opened[fd], _caller()))

    def sync_folder(self, path):
        self._enter("sync_folder", path)
        self.kernel.events.append(Synced(self.kernel.find(path), _caller()))

    def link(self, path, new_path):
        self._enter("link", path, new_path)
        folder, name = self.kernel.parent(new_path)
        if name in self.kernel.inodes[folder]:
            raise FileExistsError(17, "file exists", new_path)
        number = self.kernel.find(path)
        if _is_manifest(new_path):
            self.kernel.note("published", manifest.decode(self.kernel.inodes[number], int(name)))
        self.kernel.change(folder, **{name: number})

    def make_symlink(self, text, path):
        self._enter("make_symlink", text, path)
        folder, name = self.kernel.parent(path)
        if name in self.kernel.inodes[folder]:
            raise FileExistsError(17, "file exists", path)
        self.kernel.change(folder, **{name: self.kernel.new(text)})

    def read_symlink(self, path):
        self._enter("read_symlink", path)
        try:
            return self.kernel.inodes[self.kernel.find(path)]
        except FileNotFoundError:
            return None

    def rename(self, path, new_path):
        self._enter("rename", path, new_path)
        folder, name = self.kernel.parent(path)
        new_folder, new_name = self.kernel.parent(new_path)
        assert folder == new_folder, "across folders a rename is two changes, which the model does not know"
        if name not in self.kernel.inodes[folder]:
            raise FileNotFoundError(2, "no such file", path)
        self.kernel.change(folder, **{name: None, new_name: self.kernel.inodes[folder][name]})

    def make_folder(self, path):
        self._enter("make_folder", path)
        folder, name = self.kernel.parent(path)
        if name not in self.kernel.inodes[folder]:
            self.kernel.change(folder, **{name: self.kernel.new({})})

    def spread_folders(self, path):
        self._enter("spread_folders", path)

    def remove(self, path):
        self._enter("remove", path)
        try:
            folder, name = self.kernel.parent(path)
        except FileNotFoundError:
            return False
        if name not in self.kernel.inodes[folder]:
            return False
        if _is_manifest(path):
            self.kernel.note("removed", int(name))
        self.kernel.change(folder, **{name: None})
        return True

    def open(self, path):
        self._enter("open", path)
        return self._descriptor(self.kernel.find(path))

    def read(self, fd):
        self._enter("read", fd)
        number = self.opened[fd]
        return self.kernel.inodes[number], self._status(number)

    def status(self, fd):
        self._enter("status", fd)
        return self._status(self.opened[fd])

    def close(self, fd):
        self._enter("close", fd)
        self._unlock(fd)
        del self.opened[fd]

    def stat(self, path):
        self._enter("stat", path)
        try:
            return self._status(self.kernel.find(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _status(self, number):
        inode = self.kernel.inodes[number]
        born = self.kernel.born[number]
        return SimpleNamespace(
            st_ino=number,
            st_dev=1,
            st_mode=stat.S_IFDIR if isinstance(inode, dict) else stat.S_IFREG,
            st_size=len(inode),
            st_mtime=born,
            st_mtime_ns=int(born * 1e9),
        )

    def names(self, path):
        self._enter("names", path)
        try:
            return list(self.kernel.inodes[self.kernel.find(path)])
        except FileNotFoundError:
            return []

    def open_lock(self, path):
        self._enter("open_lock", path)
        folder, name = self.kernel.parent(path)
        if name not in self.kernel.inodes[folder]:
            self.kernel.change(folder, **{name: self.kernel.new(b"")})
        return self._descriptor(self.kernel.inodes[folder][name])

    def try_lock(self, fd):
        self._enter("try_lock", fd)
        return self.kernel.locks.setdefault(self.opened[fd], fd) == fd


def _is_manifest(path):
    folder, _, name = path.rpartition("/")
    return folder.endswith("/log") and name.isdigit()


def _caller():
    """Where in the store the call came from: file:function:line."""
    frame = sys._getframe(2)
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_code.co_name}:{frame.f_lineno}"


class Unsure:
    """What a power cut at this moment may leave, while a record is played event by event."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.certain = {n: dict(i) if isinstance(i, dict) else i for n, i in kernel.birth.items()}
        self.changes = []  # of folders, oldest first
        self.contents = {}  # of files, the last written

    def play(self, event):
        if isinstance(event, Entries):
            self.changes.append(event)
        elif isinstance(event, Content):
            self.contents[event.file] = event.data
        elif isinstance(event, Synced):
            if isinstance(self.kernel.inodes[event.inode], dict):
                self._settle(event.inode)
            elif event.inode in self.contents:
                self.certain[event.inode] = self.contents.pop(event.inode)

    def _settle(self, folder):
        entries = self.certain.setdefault(folder, {})
        for change in self.changes:
            if change.folder == folder:
                _apply(entries, change)
        self.changes = [change for change in self.changes if change.folder != folder]

    def states(self, rng, at_most):
        """Yield distinct trees {path: content}: every one where there are few, otherwise the sharp ones and a sample.

        The sharp ones: all, nothing; then, in any order, all but one, nothing but one, each damage to one file alone.
        """
        seen = set()
        for choice in itertools.islice(self._choices(rng, at_most), 4 * at_most):
            tree = self._tree(*choice)
            key = frozenset(tree.items())
            if key not in seen:
                seen.add(key)
                yield tree
                if len(seen) == at_most:
                    return

    def _choices(self, rng, at_most):
        everything = range(len(self.changes))
        files = list(self.contents)
        damages = {file: _damages(self.contents[file], self.certain.get(file, b"")) for file in files}
        whole, none = dict(self.contents), {file: options[0] for file, options in damages.items()}
        yield set(everything), whole
        yield set(), none
        count = 2 ** len(everything)
        for options in damages.values():
            count *= len(options)
        if count <= at_most:
            for kept in itertools.product((False, True), repeat=len(everything)):
                for contents in itertools.product(*damages.values()):
                    yield set(itertools.compress(everything, kept)), dict(zip(files, contents, strict=True))
            return
        sharp = [
            *((set(everything) - {one}, whole) for one in everything),
            *((set(everything), whole | {file: damaged}) for file in files for damaged in damages[file]),
            *(({one}, whole) for one in everything),
        ]
        rng.shuffle(sharp)
        yield from sharp
        while True:
            share = rng.random()
            kept = {one for one in everything if rng.random() < share}
            yield kept, {file: rng.choice([*damages[file], self.contents[file]]) for file in files}

    def _tree(self, kept, contents):
        folders = {}
        for index, change in enumerate(self.changes):
            if index in kept:
                if change.folder not in folders:
                    folders[change.folder] = dict(self.certain.get(change.folder, {}))
                _apply(folders[change.folder], change)
        tree = {}
        waiting = [("", ROOT)]
        while waiting:
            path, number = waiting.pop()
            kind = self.kernel.inodes[number]
            if isinstance(kind, dict):
                tree[path] = None
                entries = folders.get(number) or (self.certain.get(number, {}) if number not in folders else {})
                waiting += [(f"{path}/{name}", inode) for name, inode in entries.items()]
            else:
                tree[path] = kind if isinstance(kind, str) else contents.get(number, self.certain.get(number, b""))
        del tree[""]
        return tree


def _apply(entries, change):
    for name, number in change.changes:
        entries.pop(name, None)
        if number is not None:
            entries[name] = number


def _damages(data, before):
    """What may be there instead of `data`, the most likely first; `data` itself is the last."""
    half = len(data) // 2
    zeros = bytes(len(data))
    options = [before, data[:half], data[: len(data) - 1], data[:half] + zeros[half:], zeros, data]
    return list(dict.fromkeys(options))


@dataclass
class Expected:
    """What a store must hold after a cut, by the notes played so far."""

    store_id: str = ""
    acknowledged: dict = field(default_factory=dict)  # number -> manifest; what was collected since is left out
    published: dict = field(default_factory=dict)  # number -> manifest, whether or not anybody was told

    def play(self, note):
        if note.kind == "opened":
            self.store_id = note.value
        elif note.kind == "published":
            self.published[note.value.number] = note.value
        elif note.kind == "acknowledged":
            self.acknowledged[note.value.number] = note.value
        elif note.kind == "removed":
            self.acknowledged.pop(note.value, None)


def moments(kernel, ignoring=None, start=0):
    """Play the record; yield (index, unsure, expected) after each event that changes anything, from `start` on.

    `ignoring` is the index of a sync that does nothing.
    """
    unsure, expected = Unsure(kernel), Expected()
    for index, event in enumerate(kernel.events):
        if isinstance(event, Note):
            expected.play(event)
        elif index != ignoring:
            unsure.play(event)
        if index >= start:
            yield index, unsure, expected


def syncs(kernel):
    """(index, site) of every sync in the record."""
    return [(index, event.site) for index, event in enumerate(kernel.events) if isinstance(event, Synced)]


def sites(kernels):
    """How often each line of the store that syncs was reached."""
    return Counter(site for kernel in kernels for _, site in syncs(kernel))


def seeded(*parts):
    return random.Random("/".join(map(str, parts)))
