import object_servers
import pandas as pd
import pytest

# What is on a disk does not depend on pandas: these are run under the newest alone.
collect_ignore = (
    []
    if pd.__version__ >= "3"
    else [
        "test_crash_states.py",
        "test_disk_full.py",
        "test_failpoints.py",
        "test_manifest.py",
        "test_nth_call_fails.py",
        "test_object_protocol.py",
        "test_object_rivals.py",
        "test_object_store.py",
        "test_object_writers.py",
        "test_power_loss.py",
        "test_rivals.py",
    ]
)


@pytest.fixture(scope="session")
def s3_port():
    """Port of an S3 server that all tests share, each with a folder of its own."""
    with object_servers.moto() as port:
        yield port
