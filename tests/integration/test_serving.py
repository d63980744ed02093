"""How the HTTP side is asked for on the command line: encrypted, for those who know the token, and refused clearly."""

import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
from daemon import Daemon, write_scenario

TOKEN = "a-token-of-24-characters"
START_S = 120.0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=stressd"
    where = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    subprocess.run([*make.split(), *map(str, where)], check=True, capture_output=True, timeout=60)
    (folder / "token").write_text(TOKEN + "\n", encoding="utf-8")
    (folder / "short").write_text("short", encoding="utf-8")
    return folder


def ask(url, trusting, **headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20, context=trusting) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_serves_encrypted_to_whoever_knows_the_token(tmp_path, files):
    scenario = write_scenario(tmp_path, duration_s=None)
    options = ("--tls-cert", files / "cert.pem", "--tls-key", files / "key.pem")
    with Daemon(tmp_path, scenario, *options, STRESSD_TOKEN_FILE=str(files / "token")) as daemon:
        url = daemon.until_says(r"metrics at (https://\S+?)/metrics, the live page at https://", START_S)[1]
        trusting = ssl.create_default_context(cafile=files / "cert.pem")
        assert ask(f"{url}/healthz", trusting) == 200
        assert ask(f"{url}/metrics", trusting) == 401
        assert ask(f"{url}/metrics", trusting, Authorization=f"Bearer {TOKEN}") == 200
        with pytest.raises(urllib.error.URLError):
            ask(f"{url}/healthz", ssl.create_default_context())  # who does not know the certificate
        with pytest.raises(OSError, match=r".+"):
            ask(url.replace("https://", "http://") + "/healthz", None)
        assert daemon.stop(timeout_s=START_S) == 0
    assert "Traceback" not in daemon.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--tls-cert", "cert.pem"), "--tls-cert"),
        (("--tls-key", "key.pem"), "add --tls-cert FILE"),
        (("--tls-cert", "none.pem", "--tls-key", "key.pem"), "none.pem"),
        (("--token-file", "short"), "it holds 5 bytes"),
        (("--token-file", "none"), "cannot be read"),
    ],
)
def test_what_cannot_be_used_ends_it_with_a_usage_error(tmp_path, files, options, says):
    written = [word if word.startswith("--") else files / word for word in options]
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=1), *written) as daemon:
        assert daemon.wait(START_S) == 2
    assert says in daemon.stderr
    assert "Traceback" not in daemon.stderr


def test_listening_to_others_without_a_token_is_warned_about(tmp_path):
    with Daemon(tmp_path, write_scenario(tmp_path, duration_s=1), "--listen", "0.0.0.0:0", "--linger", "60") as daemon:
        daemon.until_says("is reachable from other machines: anyone there may read metrics and status", START_S)
        daemon.until(lambda: daemon.stdout, "the verdict", START_S)
        assert daemon.get("/metrics")[0] == 200
        assert daemon.get("/-/reload")[0] == 404
        assert daemon.stop(timeout_s=START_S) == 0
