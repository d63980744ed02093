"""Movies of a file, from the command line through the store and back, by another program."""

import csv
import hashlib
import json
import subprocess
import sys

import daemon
import pytest

from featurestore.movies import generate_movies
from stressd.scenario import FEATURE_GROUPS

COLUMNS = ("id", "title", "overview", "genres", "release_date", "vote_average", "vote_count", "popularity")
BROKEN = ("4711,cut off\n", '4712,"too, many",,,,,,,,,,,,\n', ",No id at all,,[],,,,\n")
READER = """
import json, sys
from featurestore import FeatureStoreConfig, SimpleFeatureStore

names = sys.argv[3:]
frames = SimpleFeatureStore(FeatureStoreConfig(sys.argv[1])).get_features(names, sys.argv[2])
told = {name: {"rows": len(frame), "ids": sorted(map(int, set(frame["movie_id"])))} for name, frame in frames.items()}
told["titles"] = {int(movie): title for movie, title in zip(frames["basic"]["movie_id"], frames["basic"]["title"])}
print(json.dumps(told))
"""


def soak(folder, movies, seconds, rows, *arguments):
    """Soak the embedded store with a file of movies; return (exit code, report, what it said)."""
    scenario = daemon.write_scenario(
        folder,
        duration_s=seconds,
        content={"rows": rows},
        keys_per_lane=1,
        pool={"rate": 80, "mix": {"generate": 4, "save": 40, "read": 40}},
    )
    report = folder / "report.json"
    ran = daemon.stressd(
        *("run", scenario, "--movies", movies, "--state", folder / "state", "--report", report),
        *("--listen", "127.0.0.1:0", "--quiet", *arguments),
        cwd=folder,
    )
    assert report.exists(), ran.stderr
    return ran.returncode, json.loads(report.read_text()), ran.stderr


def read_by_another_program(folder):
    """Return what a program that knows only `featurestore` finds under the run's first key."""
    prefix = json.loads((folder / "state/run.json").read_text())["prefix"]
    ran = subprocess.run(
        [sys.executable, "-c", READER, folder / "state/store", f"{prefix}00000", *FEATURE_GROUPS],
        check=False,
        env=daemon.environment(),
        capture_output=True,
        text=True,
        timeout=daemon.PATIENCE_S,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def titles_in(path):
    """Return {id: title} of the file, read without the loader."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return {int(row["id"]): row["title"].strip() for row in rows if row["id"].isdigit()}


@pytest.fixture
def small_file(tmp_path, run_seed):
    """Write 150 generated movies under ids that no other file has, and three broken lines between them."""
    path = tmp_path / "small.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for number, movie in enumerate(generate_movies(150, run_seed)):
            genres = json.dumps([{"id": genre} for genre in movie.get("genre_ids") or ()])
            writer.writerow({**movie, "id": 900_000_000 + number, "title": f"Small {number}", "genres": genres})
            if number % 50 == 25:
                file.write(BROKEN[number // 50])
    return path


def test_what_is_saved_are_the_movies_of_the_file(tmp_path, movies_csv):
    code, report, said = soak(tmp_path, movies_csv, seconds=5, rows=500)
    assert code in (0, 4), said
    assert not any(report["verification"]["violations"].values())
    movies = report["movies"]
    assert movies["sha256"] == hashlib.sha256(movies_csv.read_bytes()).hexdigest()
    assert movies["path"] == str(movies_csv)
    assert movies["share_used"] >= 0.9, report["operations"]["save"]["count"]

    found = read_by_another_program(tmp_path)
    titles = titles_in(movies_csv)
    assert movies["good"] >= 0.99 * len(titles)
    assert found["basic"]["rows"] == 500
    for name in FEATURE_GROUPS:
        assert found[name]["ids"], name
        assert set(found[name]["ids"]) <= titles.keys(), name
    shown = {int(movie): title.strip() for movie, title in found["titles"].items()}
    assert shown == {movie: titles[movie] for movie in shown}


def test_broken_lines_are_counted_and_another_file_gives_other_frames(tmp_path, small_file):
    code, report, said = soak(tmp_path, small_file, 1, 40, "--seed", "1")
    assert code in (0, 4), said
    assert (report["movies"]["good"], report["movies"]["bad"]) == (150, 3)
    assert sum(report["movies"]["bad_by_reason"].values()) == 3
    assert report["movies"]["share_used"] >= 0.9
    first = read_by_another_program(tmp_path)
    assert set(first["basic"]["ids"]) <= set(range(900_000_000, 900_000_150))

    other = tmp_path / "other.csv"
    other.write_text(small_file.read_text().replace("9000", "8000").replace("Small ", "Other "))
    code, report, said = soak(tmp_path, other, 1, 40, "--seed", "1")
    assert code in (0, 4), said
    assert "movies_sha256 changed" in said, "same folder, same seed: the old data is not gone on with"
    second = read_by_another_program(tmp_path)
    assert not set(first["basic"]["ids"]) & set(second["basic"]["ids"])
    assert all(title.startswith("Other ") for title in second["titles"].values())
