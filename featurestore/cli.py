"""The command `featurestore`: what is in a store, whether it is whole, and what to do where it is not.

Only argparse is imported before the arguments are known to be right; the store comes with the command that needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from featurestore.errors import CorruptFeature, FeatureStoreError, InvalidConfig, InvalidName

OK, FAILED, USAGE, DAMAGED = range(4)

_DESCRIPTION = "Look into a feature store, check it, bring it back after a power cut, and free its disk."
_EPILOG = """\
examples:
  featurestore ls /data/features                          its groups
  featurestore ls /data/features movies                   the features of one
  featurestore show /data/features movies basic --csv     rows of a feature, for another program
  featurestore history /data/features movies              which commits are kept, and what each changed
  featurestore verify /data/features                      compare every file with its checksum
  featurestore recover /data/features --dry-run           what it would take to be whole again
  featurestore gc /data/features --keep 2 --grace 0       keep two commits of each group, remove the rest
  featurestore ls s3://bucket/features                    the same on an object store (recover is for disks alone)

ls, show, history, verify and recover --dry-run change nothing. Every command may run beside processes that
use the store.

exit codes: 0 done; 1 not possible; 2 wrong usage, or no store there; 3 something in the store is damaged
"""
_SUMMARIES = {
    "ls": "list groups, or the features of one",
    "show": "print rows of a feature",
    "history": "list the commits that are kept",
    "verify": "compare every file with its checksum",
    "recover": "go back to the newest whole commit",
    "gc": "remove commits beyond those to keep",
}
_DESCRIPTIONS = {
    "ls": "Groups: features, rows and bytes of the newest commit, its number, commits kept, when it was saved. "
    "Features: rows, bytes, the commit that wrote them, the file.",
    "show": "Prints the first rows of a feature as a table, as CSV or as a JSON array. The file is checked first.",
    "history": "The commits of a group, newest first: when each was saved, what it wrote (rows and bytes are of that) "
    "and how many features it holds. The state tells those that recovery dropped, or that cannot be read.",
    "verify": "Reads every file that is kept and tells, a line for each, which are damaged or missing and what is lost "
    "with them. Exits with 3 if there is any; `recover` goes back to what is whole.",
    "recover": "For a store that lost something: durability=relaxed after a power cut, or a failing disk. In every "
    "damaged group the newest commit of which all files are whole is published again as the newest; commits with a "
    "damaged or missing file are dropped, and every file that is out of use goes into the group's quarantine folder. "
    "Nothing is deleted. Where no commit is whole, the features of the newest that are whole stay. Where only some "
    "features are damaged, saving those again brings the group to rights too, and loses less. With --dry-run it "
    "changes nothing, and exits with 3 if there is something to do.",
    "gc": "Removes commits that are neither among the newest nor young, the files only they need, and what saves that "
    "died left. A store does so by itself as it is saved to, with its own settings.",
}


def main() -> NoReturn:
    """Run the command with the arguments of this process, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # titles are in any script, terminals are not
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code. What it finds goes to stdout, what goes wrong to stderr."""
    try:
        options = _parser().parse_args(arguments)
        code: int = getattr(import_module("featurestore.commands"), options.command)(options)
        sys.stdout.flush()
    except SystemExit as end:  # argparse has said what it had to say
        return end.code if isinstance(end.code, int) else USAGE
    except BrokenPipeError:  # whoever reads has seen enough
        _forget_output()
        return OK
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (FeatureStoreError, OSError) as error:
        return failed(error)
    return code


def failed(error: Exception) -> int:
    """Say what went wrong, in one line, and return the exit code for it."""
    say(" ".join(str(error).split()))
    if isinstance(error, CorruptFeature):
        return DAMAGED
    return USAGE if isinstance(error, (InvalidConfig, InvalidName)) else FAILED


def say(text: str) -> None:
    """Print a line beside the output."""
    with contextlib.suppress(OSError):
        print(f"featurestore: {text}", file=sys.stderr)


def _forget_output() -> None:
    """Python would try to write what is left once more at its end, and complain."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.suppress(OSError, ValueError):
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="featurestore",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in _SUMMARIES.items():
        command = commands.add_parser(name, help=summary, description=_DESCRIPTIONS[name], allow_abbrev=False)
        command.add_argument("base", metavar="BASE", help="the folder or URL that the store was made in")
        _ARGUMENTS[name](command)
    return parser


def _ls(command: argparse.ArgumentParser) -> None:
    command.add_argument("group", metavar="GROUP", nargs="?", help="list this group's features")
    _version(command)
    _json(command)


def _show(command: argparse.ArgumentParser) -> None:
    command.add_argument("group", metavar="GROUP")
    command.add_argument("name", metavar="NAME", help="the feature")
    _version(command)
    command.add_argument("--rows", type=_rows, default=20, metavar="N", help="so many, or `all` (default: 20)")
    command.add_argument("--columns", metavar="A,B", help="these alone, in this order")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="as CSV, with a header")
    _json(form)


def _history(command: argparse.ArgumentParser) -> None:
    command.add_argument("group", metavar="GROUP")
    _json(command)


def _verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("group", metavar="GROUP", nargs="?", help="this one alone")
    _json(command)


def _recover(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="tell what it would do, and do nothing")
    _json(command)


def _gc(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--keep", type=int, default=8, metavar="N", help="newest commits of each group to keep (default: 8)"
    )
    command.add_argument(
        "--grace",
        type=float,
        default=600.0,
        metavar="S",
        help="keep commits younger than so many seconds (default: 600)",
    )
    _json(command)


def _version(command: argparse.ArgumentParser) -> None:
    command.add_argument("--version", type=int, metavar="N", help="as it was at this commit (default: the newest)")


def _json(command: argparse._ActionsContainer) -> None:
    command.add_argument("--json", action="store_true", help="as JSON")


def _rows(text: str) -> int | None:
    if text == "all":
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of rows; give 0 or more, or all")


_ARGUMENTS = {"ls": _ls, "show": _show, "history": _history, "verify": _verify, "recover": _recover, "gc": _gc}
