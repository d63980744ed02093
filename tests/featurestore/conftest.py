import pandas as pd

# What is on a disk does not depend on pandas: these are run under the newest alone.
collect_ignore = (
    []
    if pd.__version__ >= "3"
    else [
        "test_crash_states.py",
        "test_disk_full.py",
        "test_failpoints.py",
        "test_nth_call_fails.py",
        "test_power_loss.py",
    ]
)
