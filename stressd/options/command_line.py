"""Arguments and environment variables in, a record out.

An option on the command line wins over its variable, and the variable over the scenario. `--set` and
`--target-option` add up, the command line's after the variable's. In a variable, what may be repeated stands
one to a line. An empty variable counts as not set.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from stressd import __version__
from stressd.errors import UsageError
from stressd.options import table
from stressd.options.help_texts import EPILOGS, SUMMARIES, overview
from stressd.options.records import (
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
from stressd.options.table import Groups, Option
from stressd.spelling import suggest


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Return what `stressd ARGV…` asks for; UsageError, a line for each mistake, if not.

    Without a command, or with an option in its place, the command is `run`. `--help` and `--version` print,
    then raise SystemExit(0).
    """
    arguments = list(argv)
    if arguments[:1] == ["--version"]:
        _print_and_exit(f"stressd {__version__}")
    if arguments[:1] in (["-h"], ["--help"]):
        _print_and_exit(overview())
    if not arguments or arguments[0].startswith("-"):
        arguments.insert(0, "run")
    name, *rest = arguments
    if name not in COMMANDS:
        raise UsageError(_unknown_command(name))
    return COMMANDS[name].parse(rest, environ)


def _print_and_exit(text: str) -> NoReturn:
    print(text)
    raise SystemExit(0)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its positional arguments (one in brackets is optional), its options, and what they become."""

    name: str
    positionals: tuple[str, ...]
    groups: Groups
    build: Callable[..., Options]

    @property
    def usage(self) -> str:
        """How it is written: `stressd validate [SCENARIO] [options]`."""
        return " ".join(["stressd", self.name, *self.positionals, *["[options]"][: len(self.groups)]])

    def parse(self, arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
        """Return the command's record."""
        options = [option for group in self.groups.values() for option in group]
        given, left = self._parser().parse_known_args(arguments)
        _refuse_left(left, options, self.name)
        texts = [getattr(given, name) or "" for name in self.positionals]
        return self.build(*texts, _values(options, vars(given), environ))

    def _parser(self) -> argparse.ArgumentParser:
        parser = _Parser(self.name, self.usage)
        for name in self.positionals:
            parser.add_argument(name, metavar=name.strip("[]"), nargs="?" if name.startswith("[") else None)
        for title, options in self.groups.items():
            group = parser.add_argument_group(title)
            for option in options:
                _add(group, option)
        return parser


class _Parser(argparse.ArgumentParser):
    """argparse for the grammar and the help text alone: values stay text, mistakes become UsageErrors."""

    def __init__(self, command: str, usage: str) -> None:
        super().__init__(
            prog=f"stressd {command}",
            usage=usage,
            description=SUMMARIES[command],
            epilog="\n\n".join(EPILOGS.get(command, ())),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        what = message.removeprefix("argument ").replace("expected one argument", "a value is missing")
        raise UsageError(f"{what} ({self.prog} --help)")


def _add(group: Any, option: Option) -> None:
    if option.metavar is None:
        group.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=option.help.replace("%", "%%"))
    else:
        action = "append" if option.repeatable else "store"
        group.add_argument(option.flag, metavar=option.metavar, action=action, help=option.help.replace("%", "%%"))


def _refuse_left(left: Sequence[str], options: Sequence[Option], command: str) -> None:
    """Refuse what argparse could not place; what follows an equals sign may be a secret and is not told."""
    for argument in left:
        if argument.startswith("-") and argument != "--":
            flag = argument.partition("=")[0]
            near = suggest(flag, [option.flag for option in options]) if options else "it has none"
            raise UsageError(f"stressd {command} has no option {flag}; {near}")
    for argument in left:
        word, sign, _ = argument.partition("=")
        way_out = "each KEY=VALUE needs its own --set or --target-option" if sign else f"stressd {command} --help"
        raise UsageError(f"{word}{sign}: one argument too many; {way_out}")


def _values(options: Sequence[Option], given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the value of each option that has one; UsageError names every wrong one."""
    values: dict[str, Any] = {}
    mistakes = list(_stray_variables(environ)) if options else []
    for option in options:
        converted: list[Any] = []
        for origin, raw in _written(option, given, environ):
            try:
                converted.append(_converted(option, origin, raw))
            except ValueError as error:
                mistakes.append(f"{origin}: {error}")
        if converted:
            values[option.dest] = tuple(converted) if option.repeatable else converted[-1]
    if mistakes:
        raise UsageError("\n".join(mistakes))
    return values


def _converted(option: Option, origin: str, raw: str | bool) -> Any:
    if isinstance(raw, bool):
        return raw
    if not option.adds_up:
        return option.convert(raw)
    key, value = option.convert(raw)
    return Setting(key, value, origin)


def _written(option: Option, given: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[tuple[str, str | bool]]:
    """Yield what stands for the option, and where: the variable's unless the command line replaces it."""
    here = given[option.dest]
    if here is None or option.adds_up:
        variable = environ.get(option.variable, "").strip()
        lines = variable.splitlines() if option.repeatable else [variable]
        yield from ((option.variable, line.strip()) for line in lines if line.strip())
    if here is not None:
        yield from ((option.flag, value) for value in (here if isinstance(here, list) else [here]))


def _stray_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that must be a slip of the pen.

    Only near ones, and none that an orchestrator sets for a service of our name, as STRESSD_PORT.
    """
    for name in sorted(environ):
        if not name.startswith(table.PREFIX) or re.match(r"STRESSD_(PORT|SERVICE)(_|$)", name):
            continue
        near = get_close_matches(name, table.VARIABLES, n=1, cutoff=0.9)
        if near and near[0] != name:
            yield f"{name}: there is no such variable; did you mean {near[0]}?"


def _unknown_command(name: str) -> str:
    if get_close_matches(name, COMMANDS, n=1, cutoff=0.75):
        return f"there is no command {name}; {suggest(name, COMMANDS)}"
    return f"there is no command {name}; there are {', '.join(COMMANDS)} (a scenario: stressd run {name})"


# --- What the options become -----------------------------------------------------------------------


def _run(scenario: str, values: dict[str, Any]) -> RunOptions:
    serving = ("listen", "tls_cert", "tls_key", "token_file")
    as_they_are = ("state", "movies", "seed", *serving, "strict", "stop_on_violation", "quiet", "allow_host_faults")
    return RunOptions(
        scenario=scenario or "soak",
        overrides=_overrides(values),
        linger_s=values.get("linger", 0.0),
        reports=values.get("report", ()),
        logging=_logging(values),
        **{name: values[name] for name in as_they_are if name in values},
    )


def _validate(scenario: str, values: dict[str, Any]) -> ValidateOptions:
    schema = values.get("schema", False)
    if not scenario and not schema:
        raise UsageError("the following arguments are required: SCENARIO, or --schema (stressd validate --help)")
    return ValidateOptions(scenario, _overrides(values), schema)


def _verify(values: dict[str, Any]) -> VerifyOptions:
    state = {"state": values["state"]} if "state" in values else {}
    return VerifyOptions(logging=_logging(values), **state)


def _overrides(values: Mapping[str, Any]) -> Overrides:
    return Overrides(
        duration_s=values.get("duration"),
        target=values.get("target"),
        target_options=values.get("target_option", ()),
        processes=values.get("processes"),
        threads=values.get("threads"),
        rate=values.get("rate"),
        settings=values.get("set", ()),
    )


def _logging(values: Mapping[str, Any]) -> Logging:
    return Logging(values.get("log_format", "text"), values.get("log_level", "info"))


COMMANDS: Final = {
    command.name: command
    for command in (
        Command("run", ("[SCENARIO]",), table.RUN, _run),
        Command("validate", ("[SCENARIO]",), table.VALIDATE, _validate),
        Command("scenarios", (), {}, lambda _values: ScenariosOptions()),
        Command("criteria", (), {}, lambda _values: CriteriaOptions()),
        Command(
            "report", ("FILE",), table.REPORT, lambda file, v: ReportOptions(file, v.get("report", ()), v.get("format"))
        ),
        Command("compare", ("A", "B"), table.COMPARE, lambda a, b, v: CompareOptions(a, b, **v)),
        Command("selftest", (), table.SELFTEST, lambda v: SelftestOptions(**v)),
        Command("verify", (), table.VERIFY, _verify),
    )
}
