"""The command `featurestore`: what it prints, where it prints it, its exit codes, and that looking changes nothing."""

import csv
import io
import json
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

from featurestore import FeatureStoreConfig, SimpleFeatureStore
from featurestore.cli import run
from featurestore.table import lines

OK, FAILED, USAGE, DAMAGED = range(4)
READING = (
    ["ls"],
    ["ls", "movies"],
    ["ls", "movies", "--version", "2"],
    ["ls", "--json"],
    ["show", "movies", "basic"],
    ["show", "movies", "basic", "--version", "1", "--csv"],
    ["history", "movies"],
    ["verify"],
    ["verify", "movies"],
    ["recover", "--dry-run"],
)


def frame(number, rows=3):
    return pd.DataFrame(
        {
            "id": range(rows),
            "title": [f"乱 {n}" for n in range(rows)],
            "rating": [number + 0.123456789012] * rows,
            "genre_ids": [[28, 12]] * rows,
        }
    )


@pytest.fixture
def base(tmp_path):
    base = tmp_path / "store"
    with SimpleFeatureStore(FeatureStoreConfig(base, durability="relaxed")) as store:
        for number in range(3):
            store.save_features("movies", {"basic": frame(number)})
        store.save_features("movies", {"text": frame(0, rows=50)})
        store.save_features("users", {"events": frame(0).set_index("title")})
        store.save_features("gone", {"x": frame(0)})
        store.drop_group("gone")
    return base


@pytest.fixture
def command(base, capsys):
    """Runs a command on the store: (exit code, lines of stdout, stderr)."""

    def call(name, *arguments):
        code = run([name, str(base), *arguments])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return call


def tree(base):
    return {p: (p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() else None) for p in base.rglob("*")}


def rows_of(output):
    header, *rows = [line.split() for line in output]
    return [dict(zip(header, row, strict=True)) for row in rows]


def data_file(base, name, version=None):
    with SimpleFeatureStore(FeatureStoreConfig(base, read_only=True)) as store:
        return base / "movies" / "data" / store.entries("movies", version=version)[name].file


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "featurestore", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **options,
    )


def test_ls_lists_groups(command):
    code, out, err = command("ls")
    groups = {row["GROUP"]: row for row in rows_of(out)}
    assert (code, err, list(groups)) == (OK, "", ["gone", "movies", "users"])
    assert [groups["movies"][c] for c in ("FEATURES", "ROWS", "COMMIT", "KEPT")] == ["2", "53", "4", "4"]
    assert groups["movies"]["SAVED"].endswith("Z")
    assert groups["gone"]["FEATURES"] == "0"


def test_ls_lists_the_features_of_a_group_as_they_are_and_were(command, base):
    code, out, _ = command("ls", "movies")
    features = {row["FEATURE"]: row for row in rows_of(out)}
    assert (code, list(features)) == (OK, ["basic", "text"])
    assert (features["basic"]["COMMIT"], features["text"]["ROWS"]) == ("3", "50")
    assert int(features["basic"]["BYTES"]) == data_file(base, "basic").stat().st_size
    assert [row["COMMIT"] for row in rows_of(command("ls", "movies", "--version", "2")[1])] == ["2"]
    found = json.loads("\n".join(command("ls", "movies", "--json")[1]))
    assert [f["feature"] for f in found] == ["basic", "text"]
    assert len(found[0]["checksum"]) == 16


def test_history_tells_what_each_commit_changed(command):
    code, out, _ = command("history", "movies")
    found = [(row["COMMIT"], row["STATE"], row["ROWS"], row["CHANGED"]) for row in rows_of(out)]
    assert (code, found[:2]) == (OK, [("4", "kept", "50", "text"), ("3", "kept", "3", "basic")])
    saved = [commit["saved_at"] for commit in json.loads("\n".join(command("history", "movies", "--json")[1]))]
    assert saved == sorted(saved, reverse=True)


def test_show_prints_a_table_that_pipes(command):
    code, out, err = command("show", "movies", "basic")
    assert (code, out[0].split(), len(out)) == (OK, ["id", "title", "rating", "genre_ids"], 4)
    assert err == ""
    code, out, err = command("show", "movies", "text")
    assert (len(out), err) == (21, "featurestore: 20 of 50 rows; --rows all prints every one\n")
    assert len(command("show", "movies", "text", "--rows", "all")[1]) == 51
    assert len(command("show", "movies", "text", "--rows", "0", "--csv")[1]) == 1
    assert command("show", "movies", "basic", "--columns", "rating,id")[1][0].split() == ["rating", "id"]
    assert command("show", "users", "events")[1][1].startswith("title"), "an index of its own is shown"


def test_show_prints_csv_and_json_that_lose_nothing(command):
    _, out, _ = command("show", "movies", "basic", "--csv", "--version", "1")
    records = list(csv.DictReader(io.StringIO("\n".join(out))))
    assert records[1] == {"id": "1", "title": "乱 1", "rating": "0.123456789012", "genre_ids": "[28, 12]"}
    _, out, _ = command("show", "movies", "basic", "--json")
    assert json.loads("".join(out))[1] == {"id": 1, "title": "乱 1", "rating": 2.123456789012, "genre_ids": [28, 12]}
    _, out, _ = command("show", "users", "events", "--json", "--rows", "1")
    assert json.loads("".join(out))[0]["title"] == "乱 0"


def test_verify_names_the_file_and_what_is_lost(command, base):
    assert command("verify") == (OK, ["every file of 3 groups is whole"], "")
    damaged = data_file(base, "basic")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    data_file(base, "basic", version=1).unlink()
    code, out, err = command("verify")
    assert code == DAMAGED
    assert out[0] == (
        f"{damaged} does not match its checksum; "
        "lost: feature basic (3 rows) in commits 3 to 4 of group movies, the newest among them"
    )
    assert "is missing; lost: feature basic (3 rows) in commit 1 of group movies" in out[1]
    assert err == f"featurestore: 2 damaged or missing; see: featurestore recover {base} --dry-run\n"
    assert command("verify", "users")[0] == OK
    (found, _) = json.loads("\n".join(command("verify", "movies", "--json")[1]))
    assert (found["path"], found["feature"], found["commits"], found["current"]) == (
        str(damaged),
        "basic",
        [3, 4],
        True,
    )


def test_a_damaged_group_does_not_hide_the_others(command, base):
    (base / "movies" / "log" / f"{4:020d}").write_bytes(b"")
    code, out, err = command("ls")
    assert (code, [row["GROUP"] for row in rows_of(out)]) == (DAMAGED, ["gone", "users"])
    assert "featurestore recover" in err
    assert command("history", "movies")[0] == DAMAGED
    assert command("show", "movies", "basic")[0] == DAMAGED
    assert command("gc", "--keep", "1", "--grace", "0")[0] == DAMAGED


def test_recover_tells_what_it_would_do_and_then_does_it(command, base):
    assert command("recover") == (OK, ["every group is whole; nothing to do"], "")
    damaged = data_file(base, "text")
    size = damaged.stat().st_size
    damaged.write_bytes(b"")
    before = tree(base)
    code, out, _ = command("recover", "--dry-run")
    assert (code, tree(base) == before) == (DAMAGED, True)
    assert out == [
        "movies: commit 3, the newest whole one, would be published again as 5",
        f"  found    {damaged} has 0 bytes, {size} were written",
        "  dropped  commit 4",
        "  lost     text of commit 4 (50 rows): would be gone",
        f"  moved    2 files to {base}/movies/quarantine",
    ]
    code, out, _ = command("recover")
    assert (code, out[0]) == (OK, "movies: commit 3, the newest whole one, is published again as 5")
    assert command("verify")[0] == OK
    assert [row["STATE"] for row in rows_of(command("history", "movies")[1])] == ["kept", "dropped", *["kept"] * 3]
    assert command("recover", "--json")[1] == ["[]"]


def test_gc_keeps_what_it_is_told_to(command, base):
    code, out, _ = command("gc", "--keep", "2", "--grace", "0")
    assert (code, rows_of(out)[1]["COMMITS"], rows_of(out)[1]["FILES"]) == (OK, "2", "2")
    assert [row["COMMIT"] for row in rows_of(command("history", "movies")[1])] == ["4", "3"]
    assert [r["commits"] for r in json.loads("\n".join(command("gc", "--json")[1]))] == [0, 0, 0]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_commands_that_read_change_nothing(command, base, arguments):
    (base / "movies" / "pins" / "leaving").touch()
    (base / "movies" / "tmp" / "leaving").touch()
    before = tree(base)
    name, *rest = arguments
    assert command(name, *rest)[0] == OK
    assert tree(base) == before


@pytest.mark.parametrize("name", ["ls", "verify", "recover", "gc"])
def test_a_folder_that_is_no_store_is_a_usage_error_and_stays_as_it_is(tmp_path, capsys, name):
    (tmp_path / "folder").mkdir()
    for base in ("folder", "absent"):
        assert run([name, str(tmp_path / base)]) == USAGE
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert str(tmp_path / base) in err
        assert "name the folder that a store was made in" in err
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ls", "none"], FAILED, "no group 'none'; there is movies, users"),
        (["show", "movies", "none"], FAILED, "it has basic, text"),
        (["show", "movies", "basic", "--version", "9"], FAILED, "kept are 1 to 4"),
        (["show", "movies", "basic", "--columns", "id,none"], FAILED, "no column 'none'; it has id, title"),
        (["history", "none"], FAILED, "no group 'none'"),
        (["verify", "none"], FAILED, "no group 'none'"),
        (["ls", "../movies"], USAGE, "not safe in a path"),
        (["ls", "--version", "1"], USAGE, "needs a GROUP"),
        (["show", "movies", "basic", "--rows", "-1"], USAGE, "give 0 or more, or all"),
        (["show", "movies", "basic", "--csv", "--json"], USAGE, "not allowed with"),
        (["gc", "--keep", "0"], USAGE, "keep_versions 0"),
        (["gc", "--keep", "x"], USAGE, "invalid int value"),
        (["nonsense"], USAGE, "invalid choice"),
    ],
)
def test_errors_say_what_is_wrong_and_the_way_out(command, arguments, code, message):
    name, *rest = arguments
    found, out, err = command(name, *rest)
    assert (found, out) == (code, [])
    assert message in err


def test_help_teaches_and_needs_no_pandas(base):
    program = "import sys; from featurestore.cli import run; run(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    *text, modules = done.stdout.splitlines()
    assert not {"pandas", "numpy", "pyarrow", "xxhash"} & set(eval(modules))
    for word in ("ls", "show", "history", "verify", "recover", "gc", "examples:", "exit codes:"):
        assert any(word in line for line in text), word
    for name in ("ls", "show", "history", "verify", "recover", "gc"):
        assert run([name, "--help"]) == OK
    assert process().returncode == USAGE


def test_a_reader_that_has_seen_enough_ends_it_quietly(base):
    with SimpleFeatureStore(FeatureStoreConfig(base, durability="relaxed")) as store:
        store.save_features("movies", {"long": frame(0, rows=20_000)})
    for form in ([], ["--csv"], ["--json"]):
        shown = subprocess.Popen(
            [sys.executable, "-m", "featurestore", "show", str(base), "movies", "long", "--rows", "all", *form],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            assert shown.stdout.read(10)
            shown.stdout.close()
            assert shown.stderr.read() == b""
            assert shown.wait(60) == OK
        finally:
            shown.kill()
            shown.wait()
            shown.stderr.close()


def test_a_process_prints_any_script_to_any_terminal_and_gives_its_code(base):
    shown = process("show", base, "movies", "basic", "--csv")
    assert (shown.returncode, shown.stderr) == (OK, "")
    assert "乱 0" in shown.stdout
    plain = subprocess.run(
        [sys.executable, "-m", "featurestore", "show", str(base), "movies", "basic"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"},
        timeout=60,
        check=False,
    )
    assert (plain.returncode, plain.stderr) == (OK, b"")
    assert rb"\u4e71 0" in plain.stdout
    assert process("verify", base, "none").returncode == FAILED


def test_an_interrupted_command_says_so_by_its_code(monkeypatch):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("featurestore.commands.ls", interrupted)
    assert run(["ls", "anywhere"]) == 128 + signal.SIGINT


def test_tables_are_aligned_and_never_have_an_empty_cell():
    records = [{"name": "a", "size": 5, "parts": ()}, {"name": "long", "size": 12_345, "parts": ("x", "y")}]
    assert list(lines(records, ("name", "size", "parts"))) == [
        "NAME   SIZE  PARTS",
        "a         5  -",
        "long  12345  x,y",
    ]
    assert list(lines([], ("name", "size"))) == ["NAME  SIZE"]
