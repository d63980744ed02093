"""What the command line asks for: one record a command."""

from dataclasses import dataclass, field
from typing import Literal

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One `KEY=VALUE`: the value as written, which may be a secret, and the option or variable it is from."""

    key: str
    value: str = field(repr=False)
    origin: str = "--set"


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line and the environment change in a scenario; None is no change."""

    duration_s: float | None = None
    target: str | None = None
    target_options: tuple[Setting, ...] = ()
    processes: int | None = None
    threads: int | None = None
    rate: float | None = None
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Logging:
    """How logs are written, to stderr."""

    format: LogFormat = "text"
    level: LogLevel = "info"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`stressd run`: a scenario, what changes in it, and what belongs to this one run.

    `seed` None is a random one.
    """

    scenario: str = "soak"
    overrides: Overrides = Overrides()
    state: str = "./stressd-data"
    movies: str | None = None
    seed: int | None = None
    listen: Address = Address("127.0.0.1", 9464)
    tls_cert: str | None = None
    tls_key: str | None = None
    token_file: str | None = None
    linger_s: float = 0.0
    reports: tuple[str, ...] = ()
    strict: bool = False
    stop_on_violation: bool = False
    allow_host_faults: bool = False
    quiet: bool = False
    logging: Logging = Logging()

    def asked_for(self) -> list[str]:
        """Return the words that ask for the same run, whether arguments or variables did, but for its seed."""
        changes = self.overrides
        once = {
            "--duration": changes.duration_s,
            "--target": changes.target,
            "--processes": changes.processes,
            "--threads": changes.threads,
            "--rate": changes.rate,
            "--movies": self.movies,
        }
        words = [self.scenario]
        for flag, value in once.items():
            if value is not None:
                words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
        for flag, settings in (("--target-option", changes.target_options), ("--set", changes.settings)):
            for setting in settings:
                words += [flag, f"{setting.key}={setting.value}"]
        if self.allow_host_faults:
            words.append("--allow-host-faults")
        return words


@dataclass(frozen=True, slots=True)
class ValidateOptions:
    """`stressd validate`: a scenario, or `schema` and none."""

    scenario: str
    overrides: Overrides = Overrides()
    schema: bool = False


@dataclass(frozen=True, slots=True)
class ScenariosOptions:
    """`stressd scenarios`."""


@dataclass(frozen=True, slots=True)
class CriteriaOptions:
    """`stressd criteria`."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """`stressd report`: written to `reports` by their endings, or printed in a `format`; None is as text."""

    file: str
    reports: tuple[str, ...] = ()
    format: str | None = None


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """`stressd compare`: two JSON reports, and the lines that no metric may cross; none is the usual ones."""

    before: str
    after: str
    fail_on: tuple[str, ...] = ()
    json: bool = False


@dataclass(frozen=True, slots=True)
class SelftestOptions:
    """`stressd selftest`. `seed` None is a random one, `only` empty all lies."""

    seed: int | None = None
    long: bool = False
    only: tuple[str, ...] = ()
    json: bool = False


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """`stressd verify`: all but the folder comes from the run.json in it."""

    state: str = "./stressd-data"
    logging: Logging = Logging()


Options = (
    RunOptions
    | ValidateOptions
    | ScenariosOptions
    | CriteriaOptions
    | ReportOptions
    | CompareOptions
    | SelftestOptions
    | VerifyOptions
)
