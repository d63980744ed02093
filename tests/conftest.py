import csv
import json
import os
import random
import signal
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
REAL_MOVIES = ROOT / "../shared/data/tmdb_movies.csv"
SEED_VARIABLE = "STRESSD_TEST_SEED"
RUN_SEED = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(2**32))
os.environ[SEED_VARIABLE] = str(RUN_SEED)  # for the processes that share the tests out among them

# A shell without job control starts what it puts into the background deaf to Ctrl-C, and so would be what we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadlines: a busy machine is no bug. --hypothesis-profile=thorough looks longer.
hypothesis.settings.register_profile("stressd", deadline=None, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=2_000)
hypothesis.settings.load_profile("stressd")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # Before hypothesis reads it, so that one number repeats the whole run.
    if config.getoption("hypothesis_seed") is None:
        config.option.hypothesis_seed = RUN_SEED


def _how_to_repeat():
    return f"run seed: {RUN_SEED} ({SEED_VARIABLE}={RUN_SEED} repeats this run)"


def pytest_report_header():
    return _how_to_repeat()


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(_how_to_repeat())


@pytest.fixture(scope="session")
def run_seed():
    """This run's seed: random, or from STRESSD_TEST_SEED; printed at the top and beside failures."""
    return RUN_SEED


@pytest.fixture(scope="session")
def project_root():
    return ROOT


@pytest.fixture(scope="session")
def movies_csv(tmp_path_factory):
    """A CSV file of movies: the real ones where they lie beside the project, generated ones elsewhere."""
    if REAL_MOVIES.is_file():
        return REAL_MOVIES.resolve()
    return _write_movies(tmp_path_factory.mktemp("movies") / "movies.csv", count=4_000)


def _write_movies(path, count):
    from featurestore.movies import generate_movies

    columns = (
        "id", "title", "overview", "genres", "keywords", "release_date",
        "vote_average", "vote_count", "popularity", "poster_path", "original_language",
    )  # fmt: skip
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for movie in generate_movies(count, RUN_SEED):
            genres = [{"id": genre, "name": str(genre)} for genre in movie.get("genre_ids") or ()]
            identity = movie.get("movie_id", movie.get("id"))
            writer.writerow({**movie, "id": identity, "genres": json.dumps(genres), "keywords": "[]"})
    return path
