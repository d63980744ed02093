"""Small file systems of a test's own, mounted and unmounted again; skips where that is not allowed."""

import contextlib
import os
import shutil
import subprocess

import pytest


def run(*command):
    """Run it; returns its output. Skips the test where the program is missing or not permitted."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


@contextlib.contextmanager
def mounted(*arguments, at):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    os.makedirs(at, exist_ok=True)
    run("mount", *arguments, str(at))
    try:
        yield at
    finally:
        unmount(at)


def unmount(at):
    """At once where nobody uses it, otherwise as soon as nobody does any more."""
    for options in ((), ("--lazy",)):
        if subprocess.run(["umount", *options, str(at)], capture_output=True, timeout=60, check=False).returncode == 0:
            return


@contextlib.contextmanager
def tmpfs(at, **options):
    text = ",".join(f"{name}={value}" for name, value in options.items())
    with mounted("-t", "tmpfs", "-o", text, "tmpfs", at=at):
        yield at


@contextlib.contextmanager
def loop_device(image):
    """A block device on a file."""
    device = run("losetup", "--find", "--show", str(image))
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], capture_output=True, timeout=60, check=False)
