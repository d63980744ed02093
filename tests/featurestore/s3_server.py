"""Runs moto's S3 server on a free port and prints it. In an environment of its own (requirements/s3server.in).

moto looks whether the key is there, and then puts: two writers at once may both win. A real server does not do that
(and the store's probe catches one that does), so puts come one after the other here; with `--racy` they do not, and
each takes a moment between the look and the put.
"""

import os
import sys
import threading
import time

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "features"


class KeepAlive(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *arguments):
        pass


def one_put_at_a_time(app):
    lock = threading.Lock()

    def serve(environ, start_response):
        if environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return app(environ, start_response)
        with lock:
            return list(app(environ, start_response))

    return serve


def slow_between_look_and_put():
    from moto.s3.models import S3Backend

    put = S3Backend.put_object

    def later(*arguments, **options):
        time.sleep(0.02)
        return put(*arguments, **options)

    S3Backend.put_object = later


def end_with_parent():
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main():
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    app = DomainDispatcherApplication(create_backend_app)
    if "--racy" in sys.argv:
        slow_between_look_and_put()
    else:
        app = one_put_at_a_time(app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=KeepAlive)
    threading.Thread(target=end_with_parent, daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever()


main()
