"""Object stores to test against: moto's S3 server in a process of its own, and a server that nobody should trust."""

import contextlib
import http.server
import os
import subprocess
import threading
import urllib.request
import uuid
from pathlib import Path

import pytest

from featurestore import FeatureStoreConfig

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("STRESSD_S3_SERVER_PYTHON", ROOT / ".venv-s3server/bin/python"))
START_S = 60.0
BUCKET = "features"
SECRET = "a-secret-that-nobody-may-see"


def options_for(port):
    return {
        "endpoint": f"http://127.0.0.1:{port}",
        "access_key_id": "test",
        "secret_access_key": SECRET,
        "region": "us-east-1",
    }


def config_for(port, folder=None, **settings):
    """A store of its own on the server at this port."""
    folder = folder or uuid.uuid4().hex
    return FeatureStoreConfig(f"s3://{BUCKET}/{folder}", object_store_options=options_for(port), **settings)


@contextlib.contextmanager
def moto(*arguments):
    """The port of a new server that holds an empty bucket."""
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} is not there, which moto's server runs in; `make test` makes it")
    command = [PYTHON, Path(__file__).with_name("s3_server.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        give_up = threading.Timer(START_S, server.kill)
        give_up.start()
        try:
            line = server.stdout.readline()
            assert line, f"the server ended with {server.wait(START_S)} before it had a port"
            make = urllib.request.Request(f"http://127.0.0.1:{int(line)}/{BUCKET}", method="PUT")
            with urllib.request.urlopen(make, timeout=START_S) as answer:
                assert answer.status == 200
            give_up.cancel()
            yield int(line)
        finally:
            give_up.cancel()
            server.kill()


class _Careless(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.knows_no_condition and "If-None-Match" in self.headers:
            self._answer(501)
            return
        self.server.puts.append(self.headers.get("If-None-Match"))
        self.server.objects[self.path] = data
        self._answer(200, {"ETag": '"x"'})

    def do_HEAD(self):
        found = self.server.objects.get(self.path)
        headers = {"ETag": '"x"', "Last-Modified": "Tue, 24 Nov 2026 12:00:00 GMT"}
        self._answer(404 if found is None else 200, headers)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(500)

    do_GET = do_HEAD  # noqa: N815 - as the base class has it

    def _answer(self, status, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": "0", **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()


@contextlib.contextmanager
def careless(*, knows_no_condition=False):
    """A server that ignores If-None-Match, or has never heard of it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Careless)
    server.daemon_threads = True
    server.objects, server.puts, server.knows_no_condition = {}, [], knows_no_condition
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
