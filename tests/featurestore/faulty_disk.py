"""A real disk with something between its calls, and what a store must look like afterwards."""

import functools
import os

import pandas as pd

from featurestore import FeatureStoreConfig, SimpleFeatureStore
from featurestore.disk import Disk

CALLS = [name for name in vars(Disk) if not name.startswith("_")]
_OPENING = ("create", "open", "open_lock")
SETTINGS = {"durability": "relaxed", "keep_versions": 2, "grace_seconds": 0.0}


class FaultyDisk(Disk):
    """Calls `before(name, args)` and `after(name, args)` around every call. What they raise is the call's failure.

    Nothing is forced to the real disk, since no test that uses this cuts the power.
    """

    def __init__(self, before=None, after=None):
        super().__init__(durable=False)
        self.before = before
        self.after = after


def _around(name):
    call = getattr(Disk, name)

    @functools.wraps(call)
    def method(self, *args):
        if self.before is not None:
            try:
                self.before(name, args)
            except OSError:
                if name == "close":  # also a close that fails has closed
                    call(self, *args)
                raise
        result = call(self, *args)
        if self.after is not None:
            try:
                self.after(name, args)
            except OSError:
                if name in _OPENING:
                    os.close(result)  # a call that fails returns nothing that could be closed
                raise
        return result

    return method


for _name in CALLS:
    setattr(FaultyDisk, _name, _around(_name))


def frame(value):
    return pd.DataFrame({"value": [float(value)] * 3})


def opened(base, disk=None, **settings):
    return SimpleFeatureStore(FeatureStoreConfig(base, **{**SETTINGS, **settings}), disk=disk)


def value(store, name="f"):
    """The one value of a feature, None where there is none."""
    try:
        (found,) = set(store.get_features([name], "g")[name]["value"])
    except KeyError:
        return None
    return found


def open_files():
    return len(os.listdir("/proc/self/fd"))


def leavings(base):
    """Files that no commit names, pins and drafts."""
    group = os.path.join(base, "g")
    log = opened(base)._group("g").log
    named = {file for number in log.numbers() for file in log.read(number).files()}
    data = {f"{name}/{file}" for name in _names(f"{group}/data") for file in _names(f"{group}/data/{name}")}
    return sorted(data - named) + _names(f"{group}/pins") + _names(f"{group}/tmp")


def _names(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []
