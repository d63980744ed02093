"""docs/reference/command-line.md: every command with its options, from the tables that the parser is made of."""

from collections.abc import Iterator
from textwrap import dedent
from typing import Final

from stressd.options.command_line import COMMANDS, Command
from stressd.options.help_texts import ENVIRONMENT, EPILOGS, EXIT_CODES, SUMMARIES
from stressd.options.table import Option
from stressd.render.markdown import page, paragraph, table

_WITHOUT: Final = (
    "Without a command, or with an option in its place, the command is `run`: `stressd --duration 180` is "
    "`stressd run soak --duration 180`. Each command has its own `--help`."
)


def command_line_page() -> str:
    """Return the page."""
    commands = ((f"[`{command.usage}`](#{name})", SUMMARIES[name]) for name, command in COMMANDS.items())
    return page(
        "stressd/options/",
        "The command line",
        [_WITHOUT],
        table(("command", "does"), commands),
        f"## Exit codes\n\nOf `run` and `verify`:\n\n{_block(_below_its_title(EXIT_CODES))}",
        f"## Environment\n\n{paragraph(_below_its_title(ENVIRONMENT))}",
        *(part for command in COMMANDS.values() for part in _command(command)),
    )


def _command(command: Command) -> Iterator[str]:
    yield f"## {command.name}\n\n`{command.usage}`\n\n{SUMMARIES[command.name]}"
    for title, options in command.groups.items():
        yield table((title, "variable", "meaning"), map(_option, options))
    for text in EPILOGS.get(command.name, ()):
        if text not in (ENVIRONMENT, EXIT_CODES):
            yield _block(text)


def _option(option: Option) -> tuple[str, str, str]:
    written = f"{option.flag} {option.metavar}" if option.metavar else f"{option.flag}, --no-{option.flag[2:]}"
    return f"`{written}`", f"`{option.variable}`", option.help


def _below_its_title(text: str) -> str:
    return dedent(text.partition("\n")[2])


def _block(text: str) -> str:
    return f"```text\n{text}\n```"
