"""A real Prometheus with the shipped configuration, which scrapes each second. Every wait has a deadline."""

import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from daemon import ROOT, until

SHIPPED = ROOT / "config" / "prometheus"
_SCRAPE_INTERVAL = "1s"


def program(name):
    """Return the path of a system program; skip the test where there is none."""
    beside = Path(sys.executable).parent.parent / "tools" / name
    found = shutil.which(name) or (str(beside) if beside.is_file() else None)
    if found is None:
        pytest.skip(f"no {name}: neither on the PATH nor fetched by `make tools`")
    return found


class Prometheus:
    """Prometheus in a process of its own; as a context manager it is gone at the end.

    `addresses` (HOST:PORT) take the place of the shipped target. `holds` changes how long an alert of that name must
    hold; all else of the rules is as shipped.
    """

    def __init__(self, folder, addresses, holds=()):
        self.folder = Path(folder)
        self._address = f"127.0.0.1:{_free_port()}"
        self._log = self.folder / "prometheus.log"
        self._configure(addresses, dict(holds))
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address={self._address}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _configure(self, addresses, holds):
        config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"].update(dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "1s"))
        jobs = {job["job_name"]: job for job in config["scrape_configs"]}
        jobs["stressd"]["static_configs"][0]["targets"] = list(addresses)
        jobs["prometheus"]["static_configs"][0]["targets"] = [self._address]
        del config["alerting"]  # looked up by a name that only the compose network knows
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        rules = yaml.safe_load((SHIPPED / "rules.yml").read_text(encoding="utf-8"))
        changed = [rule for group in rules["groups"] for rule in group["rules"] if rule.get("alert") in holds]
        assert len(changed) == len(holds)
        for rule in changed:
            rule["for"] = holds[rule["alert"]]
        (self.folder / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)

    @property
    def log(self):
        return self._log.read_text(encoding="utf-8", errors="replace")

    def until_scraped(self, count):
        """Wait until that many targets of the job stressd are up."""
        until(
            lambda: len(self.query('up{job="stressd"} == 1') or ()) == count,
            lambda: f"{count} targets up; Prometheus said:\n{self.log}",
            every_s=0.2,
        )

    def query(self, expression):
        """Return the instant vector as [(labels, value)]; None while Prometheus does not answer yet."""
        answer = self._ask("query", query=expression)
        return None if answer is None else [(each["metric"], float(each["value"][1])) for each in answer["result"]]

    def query_range(self, expression, start_s, end_s, step_s=5):
        """Return the values of all series; AssertionError with Prometheus's own words where it refuses."""
        answer = self._ask("query_range", query=expression, start=start_s, end=end_s, step=step_s)
        return [float(value) for series in answer["result"] for _, value in series["values"]]

    def alerts(self):
        """Return {(alert, labels): state} of all alerts that are pending or firing."""
        found = self._ask("alerts")["alerts"]
        return [(alert["labels"]["alertname"], alert["labels"], alert["state"]) for alert in found]

    def rules(self):
        """Return all rules as Prometheus sees them."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, path, **parameters):
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None  # it is starting
            raise AssertionError(f"{parameters}: {error.code} {error.read().decode()}") from error
        except OSError as error:
            if self.process.poll() is not None:
                raise AssertionError(f"Prometheus ended: {error}\n{self.log}") from error
            return None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
