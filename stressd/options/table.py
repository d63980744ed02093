"""Every option, once. Parser, help texts and environment variables derive from this table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from stressd import durations
from stressd.options import values

PREFIX: Final = "STRESSD_"


@dataclass(frozen=True, slots=True)
class Option:
    """An option; without a `metavar` it is a switch."""

    flag: str
    metavar: str | None
    convert: Callable[[str], Any]
    help: str
    repeatable: bool = False

    @property
    def dest(self) -> str:
        """Its name in Python."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.dest.upper()

    @property
    def adds_up(self) -> bool:
        """Whether the command line's values come after the variable's instead of replacing them."""
        return self.convert is values.key_value


SHAPING: Final = (
    Option(
        "--duration",
        "TIME",
        values.duration_s,
        "how long: 180, 90s, 3m, 24h; then the verdict, and exit by it",
    ),
    Option(
        "--target",
        "NAME",
        values.some_text,
        "what is soaked: embedded (default), memory, noop or module:factory",
    ),
    Option(
        "--target-option",
        "KEY=VALUE",
        values.key_value,
        "passed to the target; ${NAME} and file:PATH keep secrets off the command line (repeatable)",
        repeatable=True,
    ),
    Option("--processes", "N", values.whole(1, 256), "one pool of N processes instead of the scenario's pools"),
    Option("--threads", "N", values.whole(1, 256), "one pool of N threads in each process (1 where not given)"),
    Option("--rate", "OPS_PER_S", values.rate, "constant arrivals at this rate, over all pools"),
    Option(
        "--set",
        "KEY.PATH=VALUE",
        values.key_value,
        "anything else in the scenario: pools.mixed.threads=4, content.rows=[50,150] (repeatable)",
        repeatable=True,
    ),
)

STATE: Final = Option(
    "--state",
    "DIR",
    values.some_text,
    "where run.json, ledger, embedded store and reports live (default ./stressd-data)",
)
SEED: Final = Option(
    "--seed", "N", values.whole(0, 2**63 - 1), "of all that is drawn at random (default: random, printed)"
)
DATA: Final = (
    STATE,
    Option("--movies", "FILE", values.some_text, "real movies, CSV or JSON Lines, instead of generated ones"),
    SEED,
)

HOST: Final = (
    Option(
        "--allow-host-faults",
        None,
        values.yes_or_no,
        "give the embedded store a disk of its own, for faults of the disk; takes root",
    ),
)

REPORT_FILE: Final = Option(
    "--report",
    "FILE",
    values.report,
    "write a report, its kind by the ending: .json, .html, .md, .xml for JUnit (repeatable)",
    repeatable=True,
)
OUTCOME: Final = (
    REPORT_FILE,
    Option("--strict", None, values.yes_or_no, "warnings count as failures"),
    Option("--stop-on-violation", None, values.yes_or_no, "stop at the first violation instead of going on"),
    Option(
        "--listen",
        "HOST:PORT",
        values.address,
        "of /metrics and the status page (default 127.0.0.1:9464; port 0 takes a free one)",
    ),
    Option("--tls-cert", "FILE", values.some_text, "serve over TLS with this certificate (a chain in PEM)"),
    Option("--tls-key", "FILE", values.some_text, "its key, where that is not in the same file"),
    Option(
        "--token-file",
        "FILE",
        values.some_text,
        "holds a token that clients must send, as a bearer or a password, to see more than /healthz and /readyz",
    ),
    Option("--linger", "SECONDS", durations.parse_s, "keep /metrics up this long after the verdict"),
)

JSON: Final = Option("--json", None, values.yes_or_no, "JSON in place of the table")
QUIET: Final = Option("--quiet", None, values.yes_or_no, "print the verdict alone")
LOGGING: Final = (
    Option("--log-format", "FORMAT", values.one_of("text", "json"), "text (default) or json"),
    Option(
        "--log-level",
        "LEVEL",
        values.one_of("debug", "info", "warning", "error"),
        "debug, info (default), warning or error",
    ),
)

# Under which title the help text of a command lists which options.
Groups = dict[str, tuple[Option, ...]]

RUN: Final[Groups] = {
    "what runs": SHAPING,
    "what it runs on": (*DATA, *HOST),
    "what comes out": OUTCOME,
    "what it prints": (QUIET, *LOGGING),
}
VALIDATE: Final[Groups] = {
    "what runs": SHAPING,
    "what it prints": (
        Option("--schema", None, values.yes_or_no, "the JSON Schema of scenario files, for editors, and nothing else"),
    ),
}
REPORT: Final[Groups] = {
    "what comes out": (
        REPORT_FILE,
        Option(
            "--format",
            "FORMAT",
            values.one_of("text", *(ending.removeprefix(".") for ending in values.REPORT_ENDINGS)),
            "what is printed: text (default without --report), json, html, md or xml",
        ),
    )
}
COMPARE: Final[Groups] = {
    "what is a regression": (
        Option(
            "--fail-on",
            "LINE",
            values.some_text,
            "METRIC>+10% or METRIC<-10%, as in save.p99>+10%, in place of the usual lines (repeatable)",
            repeatable=True,
        ),
    ),
    "what it prints": (JSON,),
}
SELFTEST: Final[Groups] = {
    "what runs": (
        Option("--only", "LIE", values.some_text, "this lie alone (repeatable)", repeatable=True),
        Option("--long", None, values.yes_or_no, "drifts at their natural pace: three minutes"),
        SEED,
    ),
    "what it prints": (JSON,),
}
VERIFY: Final[Groups] = {"what it runs on": (STATE,), "what it prints": LOGGING}

VARIABLES: Final = frozenset(option.variable for group in RUN.values() for option in group)
