"""The ways to run stressd for weeks: compose, the image's own steps, systemd, Kubernetes."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
import yaml
from compose_pydantic import ComposeSpecification
from daemon import Daemon, until, write_scenario
from prometheus_server import program

from stressd.metrics import PREFIX
from stressd.options import RunOptions, parse
from stressd.scenario_file import load, resolve

ROOT = Path(__file__).resolve().parent.parent.parent
CONTINUOUS = ROOT / "config/scenarios/continuous.yaml"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
each_service = pytest.mark.parametrize("name", SERVICES)
SIZES = {"k": 2**10, "m": 2**20, "g": 2**30}


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def run_options(arguments):
    options = parse(list(arguments), {})
    assert isinstance(options, RunOptions)
    return options


# --- Compose -------------------------------------------------------------------------------------


def against_the_specification(document):
    """The document as the Compose specification's models take it; extensions (`x-`) are no part of them."""
    return ComposeSpecification(**{name: part for name, part in document.items() if not name.startswith("x-")})


def test_the_compose_file_is_one():
    assert set(against_the_specification(COMPOSE).services) == set(SERVICES)


def test_a_compose_file_with_a_mistake_is_none():
    broken = json.loads(json.dumps(COMPOSE))
    broken["services"]["grafana"]["read_onli"] = True
    with pytest.raises(ValueError, match="read_onli"):
        against_the_specification(broken)


@each_service
def test_a_service_is_hardened(name):
    service = SERVICES[name]
    assert (service["read_only"], service["init"], service["cap_drop"]) == (True, True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert all("noexec" in mount for mount in service["tmpfs"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["healthcheck"]["test"][0] == "CMD"
    assert seconds(service["stop_grace_period"]) >= 30


@each_service
def test_what_a_service_mounts_is_there_and_read_only_or_a_named_volume(name):
    for mount in SERVICES[name]["volumes"]:
        source, _, rest = mount.partition(":")
        if source.startswith("./"):
            assert rest.endswith(":ro")
            assert any((ROOT / source).iterdir())
        else:
            assert source in COMPOSE["volumes"]


@each_service
def test_images_are_pinned_by_tag(name):
    assert re.fullmatch(r"[a-z/]+:(v?\d+\.\d+\.\d+|local)", SERVICES[name]["image"])


def test_monitoring_does_not_wait_for_what_it_monitors():
    for service in SERVICES.values():
        waits = service.get("depends_on", {})
        assert "stressd" not in waits
        assert all(each["condition"] == "service_started" for each in waits.values())


def test_only_alertmanager_is_optional_and_then_grafana_is_silent():
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"alertmanager"}
    assert SERVICES["grafana"]["environment"]["GF_UNIFIED_ALERTING_EXECUTE_ALERTS"] == "${COMPOSE_PROFILES:+false}"
    config = yaml.safe_load((ROOT / "config/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    (found,) = config["alerting"]["alertmanagers"][0]["dns_sd_configs"]
    assert (found["names"], found["port"]) == (["alertmanager"], 9093)


def test_prometheus_and_grafana_find_each_other_by_the_names_of_services():
    config = yaml.safe_load((ROOT / "config/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert jobs["stressd"] == ["stressd:9464"]
    environment = SERVICES["grafana"]["environment"]
    assert environment["STRESSD_PROMETHEUS_URL"] == "http://prometheus:9090"
    used = set()
    for path in (ROOT / "grafana/provisioning").rglob("*.yml"):
        used |= set(re.findall(r"\$(STRESSD_\w+)", path.read_text(encoding="utf-8")))
    assert used == {name for name in environment if name.startswith("STRESSD_")}
    (provider,) = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/stressd.yml").read_text())["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_the_example_of_settings_names_all_there_are_and_no_password():
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", compose))
    example = dict(re.findall(r"^#?(\w+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert used == set(example)
    assert [value for name, value in example.items() if "PASSWORD" in name] == ["", ""]
    assert "${GRAFANA_ADMIN_PASSWORD:?" in compose
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_the_daemon_has_time_to_drain_before_it_is_killed():
    scenario = resolve(load(str(CONTINUOUS)), run_options(SERVICES["stressd"]["command"]).overrides)
    assert seconds(SERVICES["stressd"]["stop_grace_period"]) > scenario.supervision.drain_s + 30
    assert scenario.duration_s is None


def test_alertmanagers_configuration_is_one():
    check = [program("amtool"), "check-config", str(ROOT / "config/alertmanager/alertmanager.yml")]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- The image -----------------------------------------------------------------------------------


def instructions():
    """[(instruction, argument)] of the Dockerfile, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def stages():
    """The instructions of the stage that builds and of the one that is kept."""
    every = instructions()
    _, second = [place for place, (name, _) in enumerate(every) if name == "FROM"]
    return every[:second], every[second:]


def test_the_image_runs_as_nobody_says_how_it_is_and_stops_on_sigterm():
    kept = dict(stages()[1])
    assert kept["USER"] == SERVICES["stressd"]["user"]
    assert kept["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(kept["HEALTHCHECK"].partition("CMD")[2]) == SERVICES["stressd"]["healthcheck"]["test"][1:]
    assert "RUN" not in kept  # nothing is installed or compiled in what is kept
    assert json.loads(kept["ENTRYPOINT"]) == ["stressd"]
    assert json.loads(kept["CMD"]) == SERVICES["stressd"]["command"]


def test_the_builder_gets_what_is_copied_and_no_more():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = set()
    for stage in stages():
        for name, argument in stage:
            if name == "COPY" and "--from" not in argument:
                copied |= set(argument.split()[:-1])
    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder in which the building stage's steps were done, as root of the image's file system."""
    root = tmp_path_factory.mktemp("image")
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(root)}
    env |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    workdir = root
    for name, argument in stages()[0]:
        if name == "ENV":
            env |= dict(pair.split("=", 1) for pair in shlex.split(argument))
        elif name == "WORKDIR":
            workdir = root / argument.lstrip("/")
            workdir.mkdir(parents=True)
        elif name == "COPY":
            *sources, target = argument.split()
            copy(sources, target, workdir)
        elif name == "RUN":
            step(in_root(argument, root), workdir, env)
    return root


def copy(sources, target, workdir):
    """What COPY does: a folder's content into the target, a file to it, or into it where it ends in a slash."""
    for place in (ROOT / source for source in sources):
        to = workdir / target
        if place.is_dir():
            shutil.copytree(place, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            to = to / place.name if target.endswith("/") else to
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, to)


def in_root(command, root):
    """The command with the image's folders below `root`; only root may give files away."""
    command = re.sub(r"(?<![\w/.])/(opt/stressd|wheels|state)\b", rf"{root}/\1", command)
    return command if os.geteuid() == 0 else command.replace("-o 10001 -g 10001 ", "")


def step(command, workdir, env):
    done = subprocess.run(
        ["/bin/sh", "-ec", command], cwd=workdir, env=env, capture_output=True, text=True, timeout=280, check=False
    )
    if done.returncode and re.search("No matching distribution|Connection|Temporary failure", done.stderr):
        pytest.skip(f"the locked packages cannot be fetched here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.timeout(600)
def test_the_images_steps_leave_an_installed_stressd_and_no_tools(built):
    prefix = built / "opt/stressd"
    (site,) = prefix.glob("lib/python*/site-packages")
    assert {"stressd", "featurestore", "pandas", "pyarrow"} <= {path.name for path in site.iterdir()}
    assert not {"pip", "hatchling", "editables"} & {path.name for path in site.iterdir()}
    said = subprocess.run(
        [prefix / "bin/python", "-Pc", "import stressd; print(stressd.__file__)"],
        capture_output=True, text=True, timeout=60, check=True, cwd=built,
    ).stdout  # fmt: skip
    assert Path(said.strip()).is_relative_to(site)


@pytest.mark.timeout(600)
def test_the_image_soaks_within_its_limits_is_healthy_and_stops_in_time(built, tmp_path):
    bin_folder = built / "opt/stressd/bin"
    health = SERVICES["stressd"]["healthcheck"]["test"][1:]
    command = [*SERVICES["stressd"]["command"]]
    command[1] = str(CONTINUOUS)
    env = {
        "PATH": f"{bin_folder}:/usr/bin:/bin",
        "STRESSD_STATE": str(tmp_path / "state"),
        "STRESSD_LISTEN": "127.0.0.1:0",
    }
    env["STRESSD_SET"] = "probes.before=[]"  # they take a minute, and are seen elsewhere
    with open(tmp_path / "log", "wb") as log:
        daemon = subprocess.Popen([str(bin_folder / "stressd"), *command], env=env, stderr=log, cwd=tmp_path)
    try:
        address = until(
            lambda: re.search(r"metrics at (http://[\d.:]+)", (tmp_path / "log").read_text()), "an address"
        )[1]
        until(lambda: gauge(address, "stressd_reads_verified_total") > 100, "reads were checked", 60, 0.5)
        probe = [part.replace("http://127.0.0.1:9464", address) for part in health]
        subprocess.run(probe, env=env, timeout=30, check=True)
        limit = SERVICES["stressd"]["deploy"]["resources"]["limits"]["memory"]
        assert 0 < gauge(address, "stressd_tree_resident_memory_bytes") < int(limit[:-1]) * SIZES[limit[-1]]
        daemon.terminate()
        assert daemon.wait(seconds(SERVICES["stressd"]["stop_grace_period"])) == 0
    finally:
        daemon.kill()
        daemon.wait()


def gauge(address, name):
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)[1])


# --- systemd -------------------------------------------------------------------------------------


def unit():
    """{section: [(key, value)]} of the unit."""
    sections, current = {}, None
    for line in (ROOT / "config/systemd/stressd.service").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(tuple(line.split("=", 1)))
    return sections


def test_the_unit_starts_what_there_is_and_gives_it_time():
    service = dict(unit()["Service"])
    executable, *arguments = shlex.split(service["ExecStart"])
    assert executable.endswith("/bin/stressd")
    options = run_options(arguments)
    assert Path(options.scenario).name == CONTINUOUS.name
    scenario = resolve(load(str(CONTINUOUS)), options.overrides)
    assert seconds(service["TimeoutStopSec"]) > scenario.supervision.drain_s + 30
    assert (service["Type"], service["KillMode"], service["NotifyAccess"]) == ("notify", "mixed", "main")
    assert service["RestartPreventExitStatus"].split() == ["1", "2", "3", "4"]
    assert seconds(service["WatchdogSec"]) > 2 * 10  # of a loop that counts as alive for ten seconds


def test_the_daemon_tells_its_service_manager_how_it_is(tmp_path):
    heard, hearing = [], threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0.2)

        def listen():
            while not hearing.is_set():
                try:
                    heard.append(manager.recv(100))
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        env = {"NOTIFY_SOCKET": tmp_path / "notify", "WATCHDOG_USEC": 200_000}
        with Daemon(tmp_path, write_scenario(tmp_path, duration_s=None), **env) as daemon:
            daemon.until(lambda: heard.count(b"WATCHDOG=1") >= 3, "signs of life")
            assert daemon.stop() == 0
        until(lambda: b"STOPPING=1" in heard, "the end is announced")
        hearing.set()
        listener.join(10)
    assert (heard[0], heard[-1]) == (b"READY=1", b"STOPPING=1")


# --- Kubernetes ----------------------------------------------------------------------------------


def test_the_manifest_runs_the_same_scenario_under_the_same_name():
    documents = list(yaml.safe_load_all((ROOT / "config/kubernetes/stressd.yaml").read_text(encoding="utf-8")))
    by_kind = {document["kind"]: document for document in documents}
    shipped = yaml.safe_load(CONTINUOUS.read_text(encoding="utf-8"))
    del shipped["description"]
    assert yaml.safe_load(by_kind["ConfigMap"]["data"]["scenario.yaml"]) == shipped
    (endpoint,) = by_kind["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert {"targetLabel": "job", "replacement": "stressd"} in endpoint["relabelings"]
    pod = by_kind["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthz"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["terminationGracePeriodSeconds"] == seconds(SERVICES["stressd"]["stop_grace_period"])
    assert run_options(container["args"]).scenario == "/etc/stressd/scenario.yaml"


def test_no_name_of_a_metric_is_in_a_deployment_file():
    # Those are made, and lie in config/prometheus and grafana.
    for name in ("docker-compose.yml", "config/kubernetes/stressd.yaml", "config/systemd/stressd.service"):
        names = re.findall(rf"\b{PREFIX}\w+", (ROOT / name).read_text(encoding="utf-8"))
        assert set(names) <= {"stressd_build_info"}
