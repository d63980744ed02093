"""Every command in README.md, in docs/ and in the first lines of the examples is run, or has a reason here why not.

They are run as written, but for less: seconds in place of minutes, small frames, no probes, and a verdict only on what
seconds can decide. What a page says before is done before: its files are written, its Python is run. An example is run
from its own first lines if no page runs it.
"""

import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import daemon
import pytest
from commands_in_docs import Command, File, Python, commands, steps_of

from stressd.criteria import BY_NAME
from stressd.errors import UsageError
from stressd.options import parse

ROOT = daemon.ROOT
MARKDOWN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "config/scenarios").glob("*.yaml"))


def name_of(path):
    return path.relative_to(ROOT).as_posix()


STEPS = {name_of(path): steps_of(path) for path in (*MARKDOWN, *EXAMPLES)}
RUNS = [step.text for path in MARKDOWN for step in STEPS[name_of(path)] if isinstance(step, Command)]
PAGES = [page for page, steps in STEPS.items() if steps and page not in " ".join(RUNS)]

RUN = ("stressd", "featurestore", "python", "cp", "cat", "head")
NOT_RUN = {  # what a command begins with, and why it is not run here
    r"make ": "run dry: that there is such a target. What it does takes minutes",
    r"\. ": "what is put on the PATH is on the test's",
    r"docker ": "takes Docker; test_deployment.py holds the file to its specification, and runs the image's own steps",
    r"install ": "writes below /etc; test_deployment.py looks at the unit",
    r"systemctl ": "takes systemd; test_deployment.py runs the unit's command as systemd would",
    r"journalctl ": "takes systemd's log",
    r"pip ": "takes a package index; test_packaging.py installs the wheel and runs it",
    r"curl ": "asks a daemon in another terminal; test_serving.py and test_reload.py ask one",
    r"kill ": "signals a daemon in another terminal; test_reload.py does",
    r"stressd$": "has no end; test_lifecycle.py runs daemons, and stops them",
    r"stressd selftest": "takes a minute; test_selftest.py runs it",
    r"stressd run (acceptance|chaos)\b": "test_scenarios_run.py runs all that are built in",
    r"stressd run \S+/chaos.yaml": "test_chaos.py has such faults, and this test leaves faults out",
    r"stressd run \S+/ramp-to-the-limit.yaml": "test_load_models.py runs phases, and loads that are not reached",
    r"stressd run \S+/(three-minute-check|continuous).yaml": "but for numbers, what is run without a file",
}

DECIDED = ("data_integrity", "worker_deaths")  # in seconds, on any machine
SHORT = {
    "warmup_s": 0,
    "generated_movies": 300,
    "generate_batch": 10,
    "content.rows": "[10, 30]",
    "probes": "{}",
    "faults": "[]",
    "pools[0].processes": 1,
    "criteria": f"{{omit: [{', '.join(name for name in BY_NAME if name not in DECIDED)}]}}",
}
LESS = (  # of what a command says itself
    (r"--duration \S+", "--duration 1"),
    (r"--listen \S+", "--listen 127.0.0.1:0"),
    (r"/tmp/|/var/lib/", "./"),
)


def reason(command):
    """Return why a command is not run as it is; None if it is."""
    return next((why for begin, why in NOT_RUN.items() if re.match(begin, command.text)), None)


def prepare(folder, movies):
    """Lay out what a reader has: the project's files, the README's store, a scenario and movies of their own."""
    for name in ("config", ".env.example"):
        (folder / name).symlink_to(ROOT / name)
    for step in STEPS["README.md"]:
        if isinstance(step, File):
            step.write(folder)
    (folder / "my.yaml").write_text((ROOT / "config/scenarios/own-target.yaml").read_text(encoding="utf-8"))
    (folder / "my_movies.csv").symlink_to(movies)


def environment(folder, command):
    """Return what makes a command short: a violation that is promised is waited for, all else ends after a second."""
    short = dict(SHORT)
    more = {"STRESSD_DURATION": "1"}
    if command.exit_code == 3:
        short |= {"pools[0].rate": 300, "pools[0].processes": 2}
        more = {"STRESSD_STOP_ON_VIOLATION": "1", "STRESSD_DURATION": "30"}
    return daemon.environment(
        HOME=folder,
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        GITHUB_STEP_SUMMARY=folder / "summary.md",
        STRESSD_QUIET="1",
        STRESSD_LISTEN="127.0.0.1:0",
        STRESSD_SET="\n".join(f"{key}={value}" for key, value in short.items()),
        **more,
    )


def run(folder, command):
    """Run a command that is to be run; AssertionError with its output if it does not end as it should."""
    text = command.text
    for pattern, less in LESS if command.exit_code != 3 else LESS[1:]:
        text = re.sub(pattern, less, text)
    if text.startswith("make "):
        text = f"make --dry-run --directory {ROOT} {text.removeprefix('make ')}"
    elif reason(command):
        return
    ran = subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=environment(folder, command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # A busy machine may leave a load unreached, or one of two runs slower: that is told, and no fault of the page.
    busy = {1} if text.startswith("stressd compare") else {4} if re.match("stressd($| run| --)", text) else set()
    right = {command.exit_code} if command.exit_code else {0, *busy}
    assert ran.returncode in right, f"{text}\nended in {ran.returncode}\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}"


def follow(folder, page, movies):
    """Do what a page says, from top to bottom; what stands there twice once, and no run that README.md has too."""
    prepare(folder, movies)
    done = {
        step for step in STEPS["README.md"] if page != "README.md" and getattr(step, "text", "").startswith("stressd ")
    }
    for step in dict.fromkeys(step for step in STEPS[page] if step not in done):
        match step:
            case File():
                step.write(folder)
            case Python(text):
                run(folder, Command(shlex.join(["python", "-c", text])))
            case Command():
                run(folder, step)


@pytest.fixture(scope="module")
def followed(tmp_path_factory, movies_csv):
    """Follow all pages, two at a time; return {page: future}."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {page: pool.submit(follow, tmp_path_factory.mktemp("page"), page, movies_csv) for page in PAGES}


@pytest.mark.timeout(300)  # a page is half a minute's work for an idle machine
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_works(followed, page):
    followed[page].result(timeout=280)


def all_commands():
    return [step for steps in STEPS.values() for step in steps if isinstance(step, Command)]


def test_every_command_is_run_or_says_why_not():
    for command in all_commands():
        assert reason(command) or shlex.split(command.text)[0] in RUN, f"{command.text}: run it, or say why not"


def test_no_reason_is_left_over():
    assert {reason(command) for command in all_commands()} - {None} == set(NOT_RUN.values())


# --- Within a line of text -------------------------------------------------------------------------


def in_the_text(begin):
    """Yield (page, what stands in the backticks) of all that begin so."""
    for path in MARKDOWN:
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`([^`]+)`", text):
            if " ".join(span.split()).startswith(begin):
                yield path.name, " ".join(span.split())


def test_a_command_of_ours_in_a_line_of_text_is_one():
    found = [span for span in in_the_text("stressd ") if "[" not in span[1] and "/" not in span[1].split()[1]]
    assert len(found) > 10
    for page, span in found:
        try:
            parse(shlex.split(span)[1:], {})
        except UsageError as error:
            pytest.fail(f"{page}: `{span}`: {error}")
        except SystemExit:
            pass  # --help


def test_a_make_target_in_a_line_of_text_is_one(project_root):
    targets = set(re.findall(r"^([a-z0-9-]+):", (project_root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [(page, word) for page, span in in_the_text("make ") for word in span.split()[1:2]]
    assert len(named) > 5
    assert not [(page, word) for page, word in named if "=" not in word and word not in targets]


# --- Reading a page ----------------------------------------------------------------------------------


def test_commands_come_with_what_their_comment_promises():
    text = "# a comment\nstressd run a --set b='#1' \\\n  --strict   # exit code 3\n\nmake run  # sets up\n"
    assert commands(text) == [
        Command("stressd run a --set b='#1'    --strict", 3),
        Command("make run", 0),
    ]


def test_a_page_that_promises_wrongly_does_not_work(tmp_path):
    with pytest.raises(AssertionError, match="ended in 2"):
        run(tmp_path, Command("stressd run nowhere.yaml"))
    with pytest.raises(AssertionError, match="ended in 0"):
        run(tmp_path, Command("stressd --help", 3))


def test_a_function_of_a_file_is_replaced(tmp_path):
    File("a.py", "def f():\n    return 1\n\n\ndef g():\n    return 2\n").write(tmp_path)
    File("a.py", "def f():\n    return 3\n", "f").write(tmp_path)
    assert (tmp_path / "a.py").read_text() == "def f():\n    return 3\n\ndef g():\n    return 2\n"
