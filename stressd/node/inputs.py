"""The inputs of a run: its movies, its seed, its target, and the record that says what they were."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

from featurestore.movies import MoviesFileError, generate_movies, load_movies
from stressd import __version__
from stressd.errors import TargetError, UsageError
from stressd.node.state import RunRecord, StateFolder, boot_id
from stressd.scenario import Scenario
from stressd.scenario import Target as ScenarioTarget
from stressd.scenario_file import expand_secrets
from stressd.targets.loading import load_target, with_folder
from stressd.targets.protocol import Guarantees, Target, TargetSpec

SEED_BITS: Final = 48


@dataclass(frozen=True, slots=True)
class Movies:
    """What is known of a run's movies, and what was wrong with their file."""

    path: str | None
    sha256: str
    good: int
    bad: int
    reasons: Mapping[str, int] = field(default_factory=dict)


def load_or_generate(path: str | None, scenario: Scenario, seed: int) -> tuple[list[dict[str, Any]], Movies]:
    """Return the movies of the file, or generated ones, and their facts. UsageError says what is wrong with it."""
    if path is None:
        count = scenario.generated_movies
        sha256 = hashlib.sha256(f"generated:{count}:{seed}".encode()).hexdigest()
        return generate_movies(count, seed), Movies(None, sha256, count, 0)
    try:
        loaded = load_movies(path)
    except MoviesFileError as error:
        raise UsageError(f"--movies {error}") from error
    return loaded.movies, Movies(loaded.path, loaded.sha256, loaded.good, loaded.bad, dict(loaded.reasons))


def open_target(target: ScenarioTarget, state: StateFolder) -> tuple[TargetSpec, Target]:
    """Build the target as the workers will, secrets expanded, and set it up; TargetError if it cannot be."""
    spec = with_folder(TargetSpec(target.name, expand_secrets(target.options)), state.store)
    opened = load_target(spec)
    try:
        opened.setup()
    except Exception as error:
        raise TargetError(f"target {spec.name}: setup failed: {type(error).__name__}: {error}") from error
    return spec, opened


def choose_seed(given: int | None, previous: RunRecord | None) -> int:
    """Return the seed that was asked for, or that of the run to go on with, or a new one."""
    if given is not None:
        return given
    return previous.seed if previous is not None else secrets.randbits(SEED_BITS)


def new_record(
    scenario: Scenario, movies: Movies, seed: int, guarantees: Guarantees, *, stores: bool, one_process: bool
) -> RunRecord:
    """Return the record of a run that starts from nothing."""
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    return RunRecord(
        run_id=run_id,
        prefix=f"s{secrets.token_hex(4)}-",
        seed=seed,
        scenario=scenario.model_dump(mode="json", by_alias=True),
        target=scenario.target.name,
        target_options=dict(scenario.target.options),
        guarantees=guarantees.as_claimed(),
        movies_path=movies.path,
        movies_sha256=movies.sha256,
        as_of=date.today().isoformat(),  # noqa: DTZ011 - a day for the content, the same for the whole run
        lanes=scenario.lanes,
        keys_per_lane=scenario.keys_per_lane,
        one_process=one_process,
        stores=stores,
        boot_id=boot_id(),
        version=__version__,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
