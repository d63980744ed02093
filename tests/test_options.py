import subprocess
import sys

import pytest

from stressd import __version__
from stressd.errors import ExitCode, UsageError
from stressd.options import (
    Address,
    CriteriaOptions,
    Logging,
    Overrides,
    ReportOptions,
    RunOptions,
    ScenariosOptions,
    Setting,
    ValidateOptions,
    VerifyOptions,
    parse,
)


def refusal(*argv, **environ):
    with pytest.raises(UsageError) as caught:
        parse(argv, environ)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


def shown(capsys, *argv):
    with pytest.raises(SystemExit) as caught:
        parse(argv, {})
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_without_a_command_the_soak_runs():
    defaults = RunOptions(
        scenario="soak",
        state="./stressd-data",
        listen=Address("127.0.0.1", 9464),
        logging=Logging("text", "info"),
    )
    assert parse([], {}) == parse(["run"], {}) == parse(["run", "soak"], {}) == defaults
    assert parse(["--duration", "180"], {}) == RunOptions(overrides=Overrides(duration_s=180))
    assert parse(["--duration", "180", "my.yaml"], {}) == parse(["run", "my.yaml", "--duration=180"], {})


def test_every_option_of_run_arrives():
    line = """
        run max --duration 24h --target my.module:Store --target-option url=redis://x?a=b --target-option n=2
        --state /tmp/s --movies m.csv --processes 3 --threads 5 --rate 1e3 --seed 7 --set pools[0].rate=-5
        --listen [::1]:0 --tls-cert c.pem --tls-key k.pem --token-file t --linger 90s
        --report a.json --report b.xml --report c.md --strict
        --stop-on-violation --allow-host-faults --quiet --log-format json --log-level DEBUG
    """
    options = parse(line.split(), {})
    assert options == RunOptions(
        scenario="max",
        overrides=Overrides(
            duration_s=86_400,
            target="my.module:Store",
            target_options=(
                Setting("url", "redis://x?a=b", "--target-option"),
                Setting("n", "2", "--target-option"),
            ),
            processes=3,
            threads=5,
            rate=1_000,
            settings=(Setting("pools[0].rate", "-5"),),
        ),
        state="/tmp/s",
        movies="m.csv",
        seed=7,
        listen=Address("::1", 0),
        linger_s=90,
        tls_cert="c.pem",
        tls_key="k.pem",
        token_file="t",
        reports=("a.json", "b.xml", "c.md"),
        strict=True,
        stop_on_violation=True,
        allow_host_faults=True,
        quiet=True,
        logging=Logging("json", "debug"),
    )


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        (["scenarios"], ScenariosOptions()),
        (["criteria"], CriteriaOptions()),
        (["report", "r.json"], ReportOptions("r.json")),
        (["report", "r.json", "--report", "r.md", "--format", "xml"], ReportOptions("r.json", ("r.md",), "xml")),
        (["verify", "--state", "d", "--log-level", "error"], VerifyOptions("d", Logging("text", "error"))),
        (
            ["validate", "my.yaml", "--rate", "5", "--set", "a=b=c"],
            ValidateOptions("my.yaml", Overrides(rate=5, settings=(Setting("a", "b=c"),))),
        ),
    ],
)
def test_the_other_commands(argv, options):
    assert parse(argv, {}) == options


@pytest.mark.parametrize(
    ("text", "address"),
    [("localhost:80", Address("localhost", 80)), ("[fe80::1%eth0]:65535", Address("fe80::1%eth0", 65_535))],
)
def test_an_address_says_itself_again(text, address):
    options = parse(["--listen", text], {})
    assert options.listen == address
    assert str(options.listen) == text


@pytest.mark.parametrize("text", ["9464", ":9464", "::1:9464", "host:65536", "host:", "http://x:1", "[::1]"])
def test_what_is_no_address_is_refused(text):
    assert "is no HOST:PORT; write 127.0.0.1:9464, [::1]:9464" in refusal("--listen", text)


# --- Environment -----------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_environment():
    environ = {
        "STRESSD_DURATION": "3m",
        "STRESSD_RATE": "5",
        "STRESSD_REPORT": "a.json\n b.md\n",
        "STRESSD_STRICT": "1",
        "STRESSD_QUIET": "on",
        "STRESSD_LOG_LEVEL": "",
    }
    options = parse([], environ)
    assert (options.overrides.duration_s, options.overrides.rate) == (180, 5)
    assert (options.reports, options.strict, options.quiet) == (("a.json", "b.md"), True, True)
    assert options.logging.level == "info"  # empty counts as not set
    options = parse(["--duration", "60", "--report", "c.xml", "--no-strict"], environ)
    assert (options.overrides.duration_s, options.overrides.rate) == (60, 5)
    assert (options.reports, options.strict, options.quiet) == (("c.xml",), False, True)


def test_settings_add_up_the_command_line_last():
    environ = {"STRESSD_SET": "a=[1, 2]\nb=2\n", "STRESSD_TARGET_OPTION": "password=${PW}"}
    overrides = parse(["--set", "b=3"], environ).overrides
    assert overrides.settings == (
        Setting("a", "[1, 2]", "STRESSD_SET"),
        Setting("b", "2", "STRESSD_SET"),
        Setting("b", "3", "--set"),
    )
    assert overrides.target_options == (Setting("password", "${PW}", "STRESSD_TARGET_OPTION"),)


def test_a_wrong_value_in_the_environment_names_the_variable():
    assert refusal(STRESSD_DURATION="soon").startswith("STRESSD_DURATION: 'soon' is no length of time")
    assert refusal(STRESSD_STRICT="maybe").startswith("STRESSD_STRICT: 'maybe' is neither yes nor no")
    assert parse(["--duration", "5"], {"STRESSD_DURATION": "soon"}).overrides.duration_s == 5


def test_a_mistyped_variable_is_found_and_an_orchestrators_is_not():
    message = "STRESSD_DURATON: there is no such variable; did you mean STRESSD_DURATION?"
    assert refusal(STRESSD_DURATON="5") == message
    foreign = ("STRESSD_PORT", "STRESSD_PORT_9464_TCP", "STRESSD_SERVICE_HOST", "STRESSD_TEST_SEED", "PATH")
    assert parse([], dict.fromkeys(foreign, "tcp://10.0.0.1:9464")) == RunOptions()


# --- Mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--duraton 5", "stressd run has no option --duraton; did you mean --duration?"),
        ("run --dur 5", "stressd run has no option --dur; did you mean --duration?"),
        ("verify --rate 5", "stressd verify has no option --rate; did you mean --state?"),
        ("criteria --verbose", "stressd criteria has no option --verbose; it has none"),
        ("rnu", "there is no command rnu; there are run, validate"),
        ("reports x.json", "there is no command reports; did you mean report?"),
        ("soak", "(a scenario: stressd run soak)"),
        ("report", "required: FILE (stressd report --help)"),
        ("validate", "required: SCENARIO"),
        ("--duration", "--duration: a value is missing"),
        ("run a b", "b: one argument too many"),
        ("--duration 0", "--duration: '0' is no time to run; leave it out"),
        ("--duration -5", "--duration: '-5' is no length of time; write 180, 20ms, 90s, 3m or 24h"),
        ("--rate -5", "--rate: '-5' is no number from 0 to 1000000; use 0 to pause"),
        ("--rate nan", "--rate: 'nan' is no number"),
        ("--processes 0", "--processes: '0' is no whole number from 1 to 256"),
        ("--seed 1.5", "--seed: '1.5' is no whole number"),
        ("--report out.pdf", "--report: 'out.pdf' is no kind of report; end it in .json, .html, .md, .xml"),
        ("--log-level loud", "--log-level: 'loud' is none of debug, info, warning, error"),
        ("--set rate", "--set: KEY=VALUE is needed"),
    ],
)
def test_a_mistake_says_what_and_the_way_out(argv, message):
    told = refusal(*argv.split())
    assert message in told
    assert "\n" not in told


def test_all_wrong_values_are_told_at_once():
    told = refusal("--duration", "x", "--listen", "y", "--report", "z", STRESSD_SEED="s")
    assert [line.split(":")[0] for line in told.splitlines()] == [
        *("--duration", "STRESSD_SEED", "--report", "--listen"),
    ]


@pytest.mark.parametrize(
    "argv",
    [
        ["--target-option", "hunter2"],
        ["--target-option", "a=1", "password=hunter2", "b=2"],
        ["--target-opton=password=hunter2"],
        ["--target-opton", "password=hunter2"],
    ],
)
def test_no_message_tells_a_secret(argv):
    assert "hunter2" not in refusal(*argv)


def test_a_record_does_not_show_secrets():
    assert "hunter2" not in repr(parse(["--target-option", "password=hunter2"], {}))


# --- Help ------------------------------------------------------------------------------------------


def test_help_teaches(capsys):
    text = shown(capsys, "--help")
    for word in (
        "run ",
        "validate ",
        "scenarios ",
        "criteria ",
        "report ",
        "verify ",
        "stressd --duration 180",
    ):
        assert word in text
    assert "3  data violation" in text
    assert shown(capsys, "-h") == text


def test_help_of_run_names_every_option_and_fits_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(capsys, "run", "--help")
    for name in (
        *("duration", "target", "target-option", "state", "movies", "processes", "threads", "rate", "seed"),
        *(
            "set",
            "listen",
            "linger",
            "report",
            "strict",
            "stop-on-violation",
            "quiet",
            "log-format",
            "log-level",
        ),
    ):
        assert f"--{name}" in text
    assert "STRESSD_LOG_LEVEL" in text
    assert max(map(len, (text + shown(capsys, "--help")).splitlines())) <= 80


def test_version(capsys):
    assert shown(capsys, "--version") == f"stressd {__version__}\n"


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from stressd.options import parse; parse([], {});"
        "print(sorted({'pydantic', 'yaml', 'pandas', 'numpy', 'pyarrow', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
