from datetime import date

import pytest

from featurestore.movies import generate_movies
from stressd import scenario
from stressd.workload.frames import MovieContent, RandomContent
from stressd.workload.ledger import Ledger
from stressd.workload.movie_tables import MovieTables, build_base

AS_OF = date(2026, 1, 1)
MOVIES = 300


@pytest.fixture(scope="session")
def movies(run_seed):
    return generate_movies(MOVIES, run_seed)


@pytest.fixture(scope="session")
def content_folder(tmp_path_factory, movies):
    path = str(tmp_path_factory.mktemp("content"))
    build_base(movies, AS_OF, path)
    return path


@pytest.fixture(scope="session")
def tables(content_folder):
    return MovieTables(content_folder)


@pytest.fixture
def movie_content(tables, run_seed):
    return MovieContent(tables, scenario.Content(rows=(20, 40)), run_seed)


@pytest.fixture
def random_content(run_seed):
    return RandomContent(scenario.Content(kind="random", rows=30, columns=4, names=2), run_seed)


@pytest.fixture(params=["movies", "random"])
def content(request, movie_content, random_content):
    return movie_content if request.param == "movies" else random_content


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.create(str(tmp_path / "ledger"), 4, run_id="run", boot_id="boot")
    yield opened
    opened.close()
