"""The store's own disk, in processes of their own: whoever mounts it leaves the mounts that all others see."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from stressd.errors import UsageError
from stressd.node import disk as module
from stressd.node.disk import NEEDED, StoreDisk
from stressd.node.state import StateFolder

DEADLINE_S = 60


def may_mount():
    tools = all(shutil.which(tool, path=module._PATH) for tool in NEEDED)
    return os.geteuid() == 0 and tools and os.path.exists("/dev/loop-control")


needs_root = pytest.mark.skipif(not may_mount(), reason="mounting takes root, mkfs.ext4 and loop devices")

PRELUDE = """
import errno, json, os, sys, time
from stressd.node.disk import StoreDisk
image, at = sys.argv[1:]
def write(name, size=100_000):
    try:
        with open(os.path.join(at, name), "wb") as file: file.write(bytes(size))
        return 0
    except OSError as error:
        return error.errno
def free(): return os.statvfs(at).f_bavail
def tell(**what): print(json.dumps(what), flush=True)
"""


@pytest.fixture
def paths(tmp_path):
    return str(tmp_path / "disk.img"), str(tmp_path / "disk")


def start(script, paths):
    return subprocess.Popen([sys.executable, "-c", PRELUDE + script, *paths], stdout=subprocess.PIPE, text=True)


def told_by(script, paths):
    with start(script, paths) as process:
        out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    return json.loads(out)


@needs_root
def test_a_full_disk_has_no_room_until_it_is_emptied(paths):
    told = told_by(
        "disk = StoreDisk.make(image, at)\n"
        "tell(before=write('a'), filled=disk.fill(), free=free(), full=write('b'),\n"
        "     removed=os.unlink(os.path.join(at, 'a')), again=disk.fill(), still=free(),\n"
        "     emptied=disk.empty(), after=write('c'), room=free())",
        paths,
    )
    assert (told["before"], told["full"], told["after"]) == (0, 28, 0)  # ENOSPC
    assert (told["free"], told["still"]) == (0, 0)
    assert told["filled"] is told["again"] is True
    assert told["room"] > 50_000


@needs_root
def test_a_disk_is_read_only_unless_a_file_is_open_for_writing(paths):
    told = told_by(
        "disk = StoreDisk.make(image, at)\n"
        "file = open(os.path.join(at, 'open'), 'wb')\n"
        "busy = disk.set_read_only(True)\n"
        "file.close()\n"
        "tell(busy=busy, done=disk.set_read_only(True), there=write('a'), full=disk.fill(),\n"
        "     undone=disk.set_read_only(False), after=write('a'))",
        paths,
    )
    assert told == {"busy": False, "done": True, "there": 30, "full": False, "undone": True, "after": 0}  # EROFS


@needs_root
def test_nobody_else_sees_it_and_nothing_is_left_when_its_process_is_killed(paths):
    with start("disk = StoreDisk.make(image, at)\nwrite('a')\ndisk.fill()\ntell()\ntime.sleep(60)", paths) as process:
        assert process.stdout.readline() == "{}\n"
        assert os.listdir(paths[1]) == []
        assert paths[0] in loops()
        process.kill()
        process.wait(DEADLINE_S)
    deadline_s = time.monotonic() + DEADLINE_S
    while paths[0] in loops():
        assert time.monotonic() < deadline_s, loops()
        time.sleep(0.02)
    told = told_by("disk = StoreDisk.attach(image, at)\ntell(there=sorted(os.listdir(at)), room=free())", paths)
    assert told["there"] == ["a", "lost+found"], "what was written is there, what filled it up is not"
    assert told["room"] > 50_000


def loops():
    return subprocess.run(["losetup", "--all"], capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout


@needs_root
def test_nobody_mounts_it_beside_an_earlier_daemon_that_is_still_there(paths):
    with start("disk = StoreDisk.make(image, at)\ntell()\ntime.sleep(60)", paths) as process:
        assert process.stdout.readline() == "{}\n"
        told = told_by(
            "from stressd.node import disk\n"
            "disk.LET_GO_WITHIN_S = 0.3\n"
            "try: StoreDisk.attach(image, at)\n"
            "except Exception as error: tell(type=type(error).__name__, text=str(error))",
            paths,
        )
        process.kill()
        process.wait(DEADLINE_S)
    assert told["type"] == "UsageError"
    assert "earlier daemon" in told["text"]
    assert told_by("StoreDisk.attach(image, at)\ntell(done=True)", paths) == {"done": True}


@pytest.mark.parametrize("lacking", ["root", "a program"])
def test_where_it_cannot_be_mounted_that_is_said_and_nothing_is_made(tmp_path, monkeypatch, lacking):
    monkeypatch.setattr(os, "geteuid", lambda: 1000 if lacking == "root" else 0)
    if lacking == "a program":
        monkeypatch.setattr(module, "NEEDED", ("mount", "no-such-program"))
    state = StateFolder.open(str(tmp_path))
    with pytest.raises(UsageError, match=r"only root may mount|no-such-program not found") as caught:
        state.make_disk()
    assert "--allow-host-faults" in str(caught.value)
    assert os.listdir(tmp_path) == ["lock"]
    state.close()


def test_a_store_that_is_there_already_is_not_covered_by_a_disk(tmp_path):
    (tmp_path / "store").mkdir()
    state = StateFolder.open(str(tmp_path))
    with pytest.raises(UsageError, match="there is a store already"):
        state.make_disk()
    state.close()


def test_a_folder_whose_disk_cannot_be_mounted_is_refused_and_let_go(tmp_path, monkeypatch):
    (tmp_path / "disk.img").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for _ in range(2):  # the second finds the lock free
        with pytest.raises(UsageError, match="only root may mount"):
            StateFolder.open(str(tmp_path))


def test_the_store_goes_onto_the_disk(tmp_path):
    state = StateFolder.open(str(tmp_path))
    assert state.store == str(tmp_path / "store")
    state.disk = StoreDisk(str(tmp_path / "disk"))
    assert state.store == str(tmp_path / "disk" / "store")
    state.disk = None
    state.close()
