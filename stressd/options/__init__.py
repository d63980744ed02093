"""The command line and its environment: arguments in, a frozen record out. Light, so `--help` is quick."""

from stressd.options.command_line import parse
from stressd.options.records import (
    Address,
    CompareOptions,
    CriteriaOptions,
    Logging,
    Options,
    Overrides,
    ReportOptions,
    RunOptions,
    ScenariosOptions,
    SelftestOptions,
    Setting,
    ValidateOptions,
    VerifyOptions,
)

__all__ = [
    "Address",
    "CompareOptions",
    "CriteriaOptions",
    "Logging",
    "Options",
    "Overrides",
    "ReportOptions",
    "RunOptions",
    "ScenariosOptions",
    "SelftestOptions",
    "Setting",
    "ValidateOptions",
    "VerifyOptions",
    "parse",
]
