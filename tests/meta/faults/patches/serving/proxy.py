"""Faults in front of an engine: options that it is started with, and a proxy that changes much."""

import json
import threading
import unicodedata
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.harness.plugins import engines

from ..places import Function, replace

Change = Callable[[str, Any], Any]  # of the JSON of a request or an answer, by its route
TEXT, PROMPT, CHAT = "/tokenize", "/apply-template", "/v1/chat/completions"


def option(name: str, value: Any) -> None:
    """An option of the engine, given at its start."""

    def make(start: Function) -> Function:
        return lambda engine, file, options: start(engine, file, {**options, name: value})

    replace(engines, "start", make)


class Proxy:
    """A server on loopback that passes on to another, and changes what goes by."""

    def __init__(self, server: Any, asked: Change, answered: Change) -> None:
        """Start it; it lives as long as the server it stands in front of."""
        self.server, place = server, urlsplit(server.listening_address).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.pass_on(None)

            def do_POST(self) -> None:
                self.pass_on(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def pass_on(self, body: Any) -> None:
                connection = HTTPConnection(place, timeout=20)
                changed = None if body is None else json.dumps(asked(self.path, body))
                kind = {"Content-Type": "application/json"}
                connection.request(self.command, self.path, changed, kind)
                answer = connection.getresponse()
                content = json.dumps(answered(self.path, json.loads(answer.read()))).encode()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                connection.close()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{self.http.server_port}"


def _unchanged(_: str, content: Any) -> Any:
    return content


def behind(asked: Change = _unchanged, answered: Change = _unchanged) -> None:
    """Put a proxy in front of every engine that starts."""

    def make(start: Function) -> Function:
        return lambda *args: Proxy(start(*args), asked, answered)

    replace(engines, "start", make)


def field_lost(name: str, route: str = "") -> None:
    """A field of requests that does not arrive."""

    def asked(path: str, body: Any) -> Any:
        return {k: v for k, v in body.items() if k != name or not path.startswith(route)}

    behind(asked)


def field_set(name: str, value: Any, route: str = "") -> None:
    """A field of requests that the proxy sets."""
    behind(lambda path, body: {**body, name: value} if path.startswith(route) else body)


def argument_lost(name: str) -> None:
    """An argument of the template that does not arrive."""

    def asked(_: str, body: Any) -> Any:
        given = body.get("chat_template_kwargs", {})
        return {**body, "chat_template_kwargs": {k: v for k, v in given.items() if k != name}}

    behind(asked)


def text_changed(how: str) -> None:
    """Texts that are tidied up on their way: NFKC, lines, ends, lower."""
    ways: dict[str, Callable[[str], str]] = {
        "nfkc": lambda text: unicodedata.normalize("NFKC", text),
        "lines": lambda text: text.replace("\r\n", "\n"),
        "ends": str.strip,
        "spaces": lambda text: text.replace("\u00a0", " "),
    }
    behind(
        lambda path, body: {**body, "content": ways[how](body["content"])} if path == TEXT else body
    )


def ids_changed(front: tuple[int, ...] = (), end: tuple[int, ...] = (), lost: int = -1) -> None:
    """Ids with others in front or behind, or without a certain one in front."""

    def answered(path: str, answer: Any) -> Any:
        ids = answer.get("tokens")
        if path != TEXT or not ids or isinstance(ids[0], dict):
            return answer
        kept = ids[1:] if ids[0] == lost else ids
        return {**answer, "tokens": [*front, *kept, *end]}

    behind(answered=answered)


def bos_merged(bos: int) -> None:
    """Two BOS in front that become one."""

    def answered(path: str, answer: Any) -> Any:
        ids = answer.get("tokens", [])
        return {**answer, "tokens": ids[1:]} if path == TEXT and ids[:2] == [bos, bos] else answer

    behind(answered=answered)


def pieces_changed() -> None:
    """Pieces in which no space is left."""

    def answered(path: str, answer: Any) -> Any:
        rows = answer.get("tokens", [])
        if path == TEXT and rows and isinstance(rows[0], dict):
            for row in rows:
                row["piece"] = row["piece"].strip(" ") if isinstance(row["piece"], str) else []
        return answer

    behind(answered=answered)


def prompt_changed(old: str = "", new: str = "", front: str = "") -> None:
    """A prompt that is rendered otherwise."""

    def answered(path: str, answer: Any) -> Any:
        if path != PROMPT or "prompt" not in answer:
            return answer
        prompt = answer["prompt"].replace(old, new) if old else answer["prompt"]
        return {**answer, "prompt": front + prompt}

    behind(answered=answered)


def number_changed(name: str, by: int) -> None:
    """A count that says more."""

    def answered(_: str, answer: Any) -> Any:
        for part in (answer, answer.get("usage", {})):
            if name in part:
                part[name] += by
        return answer

    behind(answered=answered)


def message_lost(role: str) -> None:
    """Messages of a role that do not arrive."""

    def asked(_: str, body: Any) -> Any:
        if "messages" not in body:
            return body
        return {**body, "messages": [m for m in body["messages"] if m["role"] != role]}

    behind(asked)


def calls_cut() -> None:
    """Of several calls at once only the first arrives."""

    def asked(_: str, body: Any) -> Any:
        for message in body.get("messages", []):
            if message.get("tool_calls"):
                message["tool_calls"] = message["tool_calls"][:1]
        return body

    behind(asked)
