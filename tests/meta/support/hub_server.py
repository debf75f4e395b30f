"""A model hub on the loopback, for tests: its file routes, and its refusals on request."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote

ROUTE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
COMMIT = "5ca1ab1e" * 5  # to which main leads
BEHAVIOURS = {"cut", "silent", "portal"}  # broken or foreign servers; the rest are plain refusals


@dataclass(frozen=True)
class Refusal:
    """An error as the hub words it; `message` may use {repo} and {authorization}."""

    status: int
    code: str
    message: str


REFUSALS = {
    "gated": Refusal(403, "GatedRepo", "Access to model {repo} is restricted. Ask for access."),
    "gated_anonymous": Refusal(401, "GatedRepo", "Access to {repo} is restricted. Please log in."),
    "unauthorised": Refusal(401, "", "Invalid credentials in Authorization header"),
    "private": Refusal(401, "RepoNotFound", "Repository not found"),
    "forbidden": Refusal(403, "", "{authorization} may not read {repo}. Ask its owner."),
    "missing": Refusal(404, "RepoNotFound", "Repository not found"),
    "no_revision": Refusal(404, "RevisionNotFound", "Invalid rev id"),
    "no_file": Refusal(404, "EntryNotFound", "Entry not found"),
    "failing": Refusal(500, "", "Internal Error"),
}


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    path: str
    authorization: str


@dataclass(frozen=True)
class Hub:
    """What is served, how it misbehaves, and where requests are noted."""

    folders: Mapping[str, Path]
    faults: Mapping[str, str]
    seen: list[Seen]
    closing: Event = field(default_factory=Event)


class Handler(BaseHTTPRequestHandler):
    """Answers HEAD and GET of `/{repo}/resolve/{revision}/{file}`."""

    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *args: Any) -> None:
        """The base class answers the connection's requests at once, so `hub` is set first."""
        self.hub = hub
        super().__init__(*args)

    def log_message(self, *_: object) -> None:
        """Log nothing: tests read `Hub.seen`."""

    def do_GET(self) -> None:
        """The file, or the repository's fault."""
        path, authorization = unquote(self.path), self.headers.get("Authorization", "")
        self.hub.seen.append(Seen(path, authorization))
        route = ROUTE.fullmatch(path)
        if route is None:
            return self.refuse(Refusal(404, "", "No such route"), "", authorization)
        repo, fault = route["repo"], self.hub.faults.get(route["repo"], "")
        file = self.hub.folders.get(repo, Path()) / route["file"]
        if fault in REFUSALS or repo not in self.hub.folders:
            self.refuse(REFUSALS.get(fault, REFUSALS["missing"]), repo, authorization)
        elif fault == "silent":
            self.hub.closing.wait(60)
            self.close_connection = True
        elif fault == "portal":
            self.answer(200, {"Content-Type": "text/html"}, b"<h1>Welcome, guest</h1>")
        elif ".." in file.parts or not file.is_file():
            self.refuse(REFUSALS["no_file"], repo, authorization)
        else:
            self.send_file(file.read_bytes(), route["revision"], cut=fault == "cut")

    def do_HEAD(self) -> None:
        """The same, for `answer` leaves out the body."""
        self.do_GET()

    def refuse(self, refusal: Refusal, repo: str, authorization: str) -> None:
        """An error, in headers and as JSON, as the hub sends it."""
        message = refusal.message.format(repo=repo, authorization=authorization)
        headers = {"X-Error-Message": message, "Content-Type": "application/json"}
        if refusal.code:
            headers["X-Error-Code"] = refusal.code
        body = json.dumps({"error": message}).encode()
        self.answer(refusal.status, headers, body)

    def send_file(self, content: bytes, revision: str, cut: bool) -> None:
        """The content, from the requested byte on; when cut, never past the middle."""
        requested = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(requested[1]) if requested else 0
        blob = sha1(b"blob %d\0" % len(content) + content).hexdigest()  # as git names it
        stop = max(start, len(content) // 2) if cut else len(content)
        commit = COMMIT if revision == "main" else revision
        headers = {"ETag": f'"{blob}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        headers["Content-Length"] = str(len(content) - start)
        if requested:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206 if requested else 200, headers, content[start:stop])
        self.close_connection = cut

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send the head, and the body in answer to GET."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def serve(
    folders: Mapping[str, Path], faults: Mapping[str, str], seen: list[Seen] | None = None
) -> Iterator[str]:
    """Serve each repository's folder; yields the endpoint, and notes the requests in `seen`."""
    if unknown := set(faults.values()) - set(REFUSALS) - BEHAVIOURS:
        raise ValueError(f"unknown faults: {sorted(unknown)}")
    hub = Hub(folders, faults, [] if seen is None else seen)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, hub))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        hub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
