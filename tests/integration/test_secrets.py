"""Secrets planted wherever they are needed are found nowhere afterwards, though the store shouts them out."""

import subprocess
import sys
from urllib.parse import quote

from daemon import Daemon, stressd, until, write_scenario, write_target

LITERAL, FROM_ENV, FROM_FILE, IN_URL, TOKEN = (
    "Literal-5up3r/s3cret",
    "Fr0m-the+env!ronment",
    "Fr0m a f1le & more",
    "url-Passw0rd",
    "T0ken-of-the-server-4711",
)
PLANTED = (LITERAL, FROM_ENV, FROM_FILE, IN_URL, TOKEN)

# It fails with its own options in the message, lies, prints them, and has a thread that dies with them.
INDISCREET = (
    "def __init__(self, password, key, pem, url):",
    "    super().__init__()",
    "    self.told = f'{password} {key} {pem} {url} ' + repr([password, key, pem])",
    "    self.saves = 0",
    "def setup(self):",
    "    pass",
    "def save(self, group, features):",
    "    self.saves += 1",
    "    if self.saves == 10:",
    "        import threading",
    "        def die(): raise RuntimeError('thread of ' + self.told)",
    "        threading.Thread(target=die).start()",
    "        print('printed', self.told, flush=True)",
    "        print('printed', self.told, file=sys.stderr, flush=True)",
    "    if self.saves % 7 == 3:",
    "        raise ConnectionError('no login with ' + self.told)",
    "    return super().save(group, features)",
    "def read(self, group, names):",
    "    frames = super().read(group, names)",
    "    if self.saves > 20:",
    "        return {name: frame.iloc[:-1] for name, frame in frames.items()}",
    "    return frames",
)


def forms(secret):
    return {secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1]}


def found_in(what, data):
    """Return a line for each secret in it."""
    text = data if isinstance(data, bytes) else data.encode()
    return [f"{secret} in {what}" for secret in PLANTED for form in forms(secret) if form.encode() in text]


def options_of(tmp_path):
    (tmp_path / "pem").write_text(FROM_FILE + "\n", encoding="utf-8")
    (tmp_path / "token").write_text(TOKEN + "\n", encoding="utf-8")
    pairs = (
        f"password={LITERAL}",
        "key=${PLANTED_KEY}",
        f"pem=file:{tmp_path / 'pem'}",
        f"url=db://me:{IN_URL}@localhost/x",
    )
    return [word for pair in pairs for word in ("--target-option", pair)]


def test_a_run_that_fails_and_finds_violations_tells_no_secret(tmp_path):
    target = write_target(tmp_path, *INDISCREET)
    reports = [tmp_path / f"report.{kind}" for kind in ("json", "md", "xml")]
    scenario = write_scenario(tmp_path, duration_s=8, warmup_s=0, criteria={"omit": []})
    arguments = [*target, *options_of(tmp_path), "--log-level", "debug", "--linger", "60"]
    arguments += [word for report in reports for word in ("--report", report)]
    arguments += ["--token-file", tmp_path / "token"]
    with Daemon(tmp_path, scenario, *arguments, PLANTED_KEY=FROM_ENV) as daemon:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert daemon.get("/metrics")[0] == 401
        leaks = []
        while not daemon.stdout:
            for path in ("/", "/metrics", "/api/status", "/page.js"):
                status, body = daemon.get(path, **bearer)
                assert status == 200
                leaks += found_in(path, body)
            for pid in daemon.worker_pids():
                if (line := command_line(pid)) != command_line(daemon.pid):  # not yet a worker: forked a moment ago
                    leaks += found_in("a worker's command line", line)
        until(lambda: '"state":"stopped"' in daemon.get("/api/status", **bearer)[1], "the run is over")
        leaks += found_in("/api/status at the end", daemon.get("/api/status", **bearer)[1])
        assert daemon.stop() == 3
    # Everything that could have told them did tell the rest.
    assert "raised ConnectionError: no login with ***" in daemon.stderr
    assert "RuntimeError: thread of ***" in daemon.stderr
    assert daemon.stderr.count("['***', '***', '***']") >= 3  # in a thread's stack, printed to stdout, to stderr
    assert list((daemon.state / "specimens").glob("*.json"))
    assert daemon.record()["target_options"]["password"] == "***"
    assert daemon.record()["target_options"]["key"] == "${PLANTED_KEY}"
    assert daemon.report()["target"]["options"]["url"] == "db://me:***@localhost/x"
    for path in [*(path for path in daemon.state.rglob("*") if path.is_file()), *reports]:
        leaks += found_in(path, path.read_bytes())
    leaks += found_in("stderr", daemon.stderr) + found_in("stdout", daemon.stdout)
    rendered = stressd("report", reports[0], cwd=tmp_path)
    leaks += found_in("stressd report", rendered.stdout + rendered.stderr)
    assert not leaks, "\n".join(sorted(set(leaks)))


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_a_target_that_cannot_be_set_up_tells_no_secret(tmp_path):
    failing = (*INDISCREET[:4], "def setup(self):", "    raise RuntimeError('no login with ' + self.told)")
    target = write_target(tmp_path, *failing)
    with Daemon(
        tmp_path, write_scenario(tmp_path), *target, *options_of(tmp_path), "--log-level", "debug", PLANTED_KEY=FROM_ENV
    ) as daemon:
        assert daemon.wait() == 2
    assert "setup failed: RuntimeError: no login with ***" in daemon.stderr
    assert not found_in("stderr", daemon.stderr)


def test_a_run_goes_on_with_a_password_that_was_written_out_and_verify_says_what_it_misses(tmp_path):
    keeping = ("def __init__(self, path, password):", "    super().__init__(path=path)")
    checked = "    assert password == 'open-sesame-please', 'wrong password'"
    target = write_target(tmp_path, *keeping, checked, base="embedded:EmbeddedTarget")
    options = ("--target-option", f"path={tmp_path / 'kept'}", "--target-option", "password=open-sesame-please")
    scenario = write_scenario(tmp_path, duration_s=1)
    for round_ in range(2):
        with Daemon(tmp_path, scenario, *target, *options) as daemon:
            assert daemon.wait() == 0, daemon.stderr
        assert ("going on with the data of run" in daemon.stderr) == bool(round_)
    assert "open-sesame" not in (daemon.state / "run.json").read_text(encoding="utf-8")
    refused = stressd("verify", "--state", daemon.state, cwd=tmp_path)
    assert refused.returncode == 2
    assert "target option password: it is left out of what is kept of a run" in refused.stderr
    record = daemon.state / "run.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"***"', '"${SESAME}"'), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "stressd", "verify", "--state", str(daemon.state)],
        cwd=tmp_path, env={"SESAME": "open-sesame-please", "PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
