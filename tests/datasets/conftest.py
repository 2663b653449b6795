"""A local web server: downloads are tested over a real socket, without leaving the machine."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest


@dataclass
class Site:
    """What the server serves, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    truncate: bool = False  # promise the whole file, send half of it, hang up


@pytest.fixture
def site():
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            name = self.path.lstrip("/")
            site.requests.append(name)
            if name not in site.files:
                self.send_error(404)
                return None
            self.send_response(200)
            self.send_header("Content-Length", str(len(site.files[name])))
            self.end_headers()
            return site.files[name]

        def do_GET(self):
            body = self.do_HEAD()
            if body is not None:
                self.wfile.write(body[: len(body) // 2] if site.truncate else body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def one_line():
    """Check that an error is one line that names all of these."""

    def check(message: object, *parts: object) -> None:
        text = str(message)
        assert "\n" not in text
        for part in parts:
            assert str(part) in text

    return check
