"""A server of one's own: recognised, asked within limits, and told by its counts what is wrong."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.engines import DEFAULT, engines
from tests.harness.engines.asking import Connection
from tests.harness.engines.client import Client, Limits, RequestError
from tests.harness.engines.endpoint import recognise
from tests.meta.conftest import run_pytest

# Threads of the servers here outlive what they serve.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ENGINE = engines()[DEFAULT]
SECRET = "sk-planted-4711-do-not-show"
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A server on loopback that answers every request so; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            with suppress(OSError):  # the client gave up
                answer(self)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()


def says(content: bytes, status: int = 200, **headers: str) -> Answer:
    """Always this."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def endless(request: BaseHTTPRequestHandler) -> None:
    """A body that never ends."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b"[" * 65536)


def dripping(request: BaseHTTPRequestHandler) -> None:
    """A byte every tenth of a second."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" ")
        request.wfile.flush()
        time.sleep(0.1)


def dripping_headers(request: BaseHTTPRequestHandler) -> None:
    """The same before the body begins."""
    request.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
    while True:
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.1)


def many_tokens(request: BaseHTTPRequestHandler) -> None:
    """200 MB of ids."""
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b'{"tokens": [')
    for _ in range(3200):
        request.wfile.write(b"1, " * 21845)
    request.wfile.write(b"1]}")


def silent(request: BaseHTTPRequestHandler) -> None:
    """Nothing at all."""
    time.sleep(30)


HOSTILE: dict[str, tuple[Answer, str]] = {
    "endless": (endless, "answers with more than 1 MiB"),
    "many_tokens": (many_tokens, "answers with more than 1 MiB"),
    "dripping": (dripping, "takes more than 1 s"),
    "dripping_headers": (dripping_headers, "takes more than 1 s"),
    "silent": (silent, "takes more than 1 s"),
    "no_json": (says(b"<html>hello</html>"), "which is no JSON"),
    "no_utf8": (says(b'"\xff\xfe"'), "which is no JSON"),
    "deep": (says(b"[" * 100_000), "which is no JSON"),
    "redirect": (
        says(b"", 302, Location="http://169.254.169.254/secret"),
        "redirects to '169.254.169.254', which is not followed",
    ),
    "error": (says(b'{"error": {"message": "out of memory"}}', 500), "answers 500 (out of memory)"),
    "other_json": (says(b"[1, 2]"), "the answer has no tokens"),
    "text_as_ids": (says(b'{"tokens": "abc"}'), "the ids are 'abc', no list of numbers"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_server_is_one_sentence_in_time(name: str) -> None:
    answer, said = HOSTILE[name]
    with serving(answer) as url:
        client = Client(url, Limits(seconds=1.0, size=1 << 20), SECRET)
        started = time.monotonic()
        with pytest.raises(RequestError) as caught:
            Connection(ENGINE, client).ids("Hi")
        assert time.monotonic() - started < 4
    line = str(caught.value)
    assert said in line
    assert "\n" not in line
    assert len(line) < 250
    assert SECRET not in line + repr(client)


def test_requests_are_limited() -> None:
    with serving(says(b'{"tokens": []}')) as url:
        connection = Connection(ENGINE, Client(url, Limits(requests=3)))
        for _ in range(3):
            connection.ids("Hi")
        with pytest.raises(RequestError, match="more than 3 requests would be sent"):
            connection.ids("Hi")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_endpoint(url: str, *options: str, key: str = "phi3") -> Any:
    """A whole run against a server, with an API key in the environment."""
    where = ("tests/serving/test_endpoint.py", "--models", key, "--endpoint", f"{key}={url}", "-q")
    return run_pytest(*where, *options, ENDPOINT_API_KEY=SECRET)


def test_server_that_is_down_is_one_sentence() -> None:
    run = run_endpoint(f"http://127.0.0.1:{free_port()}")
    assert run.code == 1
    line = run.line("phi3: the server at http://127.0.0.1:")
    assert "cannot be asked: " in line
    assert "likely cause: it is down, not ready, or not a server of models" in line


def test_key_that_is_wanted_is_sent_and_never_shown(tmp_path: Path) -> None:
    seen = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers.get("Authorization"))
        content = json.dumps({"error": {"message": f"wrong key {seen[-1]}"}}).encode()
        says(content, 401)(request)

    with serving(answer) as url:
        run = run_endpoint(url, "--report-dir", str(tmp_path))
    assert set(seen) == {f"Bearer {SECRET}"}
    assert run.code == 1
    assert "likely cause: it wants a key: set ENDPOINT_API_KEY" in run.line("phi3: the server at ")
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert SECRET not in run.out + written


WRONG_URLS = {
    "phi3=ftp://127.0.0.1": "--endpoint phi3: write phi3=http://HOST:PORT",
    "phi3=http://user:word@127.0.0.1:1": "--endpoint phi3: a URL is shown, so it must hold no key",
    "phi4=http://127.0.0.1:1": "--endpoint phi4: write KEY=URL; did you mean phi3? ",
}


@pytest.mark.parametrize("given", WRONG_URLS)
def test_wrong_url_is_one_line(given: str) -> None:
    run = run_pytest("tests/serving", "--endpoint", given)
    assert run.code == 4
    assert run.line(f"ERROR: {WRONG_URLS[given]}")
    assert "word@" not in run.out


# What a server must answer to be taken for an engine.
SERVERS = {
    "vllm": ("/version", {"version": "0.32.0"}),
    "sglang": ("/get_model_info", {"model_path": "x"}),
    "tgi": ("/info", {"model_id": "x"}),
    "openai": ("/v1/models", {"data": []}),
}


@pytest.mark.parametrize("name", SERVERS)
def test_engine_is_recognised_by_its_route(name: str) -> None:
    path, content = SERVERS[name]

    def answer(request: BaseHTTPRequestHandler) -> None:
        known = request.path == path
        says(json.dumps(content if known else {}).encode(), 200 if known else 404)(request)

    with serving(answer) as url:
        assert recognise(Client(url)).key == name
