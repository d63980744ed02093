"""What a service manager hears, on a real socket."""

import os
import socket
import time

import pytest

from stressd.node.systemd import ServiceManager


@pytest.fixture
def manager(tmp_path):
    """A service manager's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(10)
        yield end


def environment(manager, **more):
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_it_hears_that_the_daemon_is_ready_and_that_it_stops(manager):
    with ServiceManager(lambda: True, environment(manager)):
        assert manager.recv(100) == b"READY=1"
    assert manager.recv(100) == b"STOPPING=1"


def test_it_hears_a_sign_of_life_again_and_again(manager):
    with ServiceManager(lambda: True, environment(manager, WATCHDOG_USEC="40000", WATCHDOG_PID=str(os.getpid()))):
        assert [manager.recv(100) for _ in range(4)] == [b"READY=1", *[b"WATCHDOG=1"] * 3]


def test_it_hears_none_while_the_loop_hangs(manager):
    asked = []
    with ServiceManager(lambda: bool(asked.append(1)), environment(manager, WATCHDOG_USEC="20000")):
        deadline_s = time.monotonic() + 10
        while len(asked) < 3:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
    assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}])
def test_without_a_watchdog_of_ours_nobody_is_asked(manager, more):
    asked = []
    with ServiceManager(lambda: bool(asked.append(1)), environment(manager, **more)):
        time.sleep(0.1)
    assert asked == []


def test_an_abstract_socket_is_reached():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0stressd-test-{os.getpid()}")
        end.settimeout(10)
        with ServiceManager(lambda: True, {"NOTIFY_SOCKET": f"@stressd-test-{os.getpid()}"}):
            assert end.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_is_said_and_one_that_is_gone_costs_a_warning(tmp_path, caplog):
    with ServiceManager(lambda: True, {}):
        pass
    assert not caplog.records
    with ServiceManager(lambda: True, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        pass
    assert [record.message.split(" could")[0] for record in caplog.records] == ["READY=1", "STOPPING=1"]
