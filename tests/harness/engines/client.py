"""JSON over HTTP to one address, within limits of time, size and number of requests.

Nothing is followed, stored or sent elsewhere, so that whoever answers can do no more than lie.
"""

import json
import socket
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from ..text import error_line, quote


@dataclass(frozen=True)
class Limits:
    """What a server may take: seconds of a request, bytes of an answer, requests of a session."""

    seconds: float = 20.0
    size: int = 8 << 20
    requests: int = 100_000
    tries: int = 1  # of a request that gets no answer, or that the server is too busy for
    trusted: bool = False  # whether it is our own server, which does not drip


class RequestError(Exception):
    """A request got no answer that can be used; the message is one clause."""


@dataclass
class Client:
    """A connection that is kept; `key` is sent as a bearer token and shown nowhere."""

    url: str  # http://HOST:PORT, with a path in front of all routes if there is one
    limits: Limits = Limits()
    key: str = field(default="", repr=False)
    sent: int = 0
    _connection: HTTPConnection | None = None
    _socket: socket.socket | None = None  # the connection forgets it where the answer ends it

    def ask(self, path: str, body: object = None) -> Any:
        """The JSON of a route; POST if there is a body. RequestError says why there is none."""
        status, answer = self.answer(path, body)
        if status >= 400:
            raise RequestError(f"{path} answers {status} ({_said(answer)})")
        return answer

    def answer(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of a route; None for a body that is no JSON and comes with an error."""
        for attempt in range(1, self.limits.tries + 1):
            try:
                status, content = self._once(path, body)
            except RequestError:
                self.close()
                if attempt == self.limits.tries:
                    raise
            else:
                if status not in (429, 503) or attempt == self.limits.tries:
                    return status, _parsed(path, status, content)
            time.sleep(0.2 * attempt)
        raise AssertionError("unreachable")

    def _once(self, path: str, body: object) -> tuple[int, bytes]:
        if self.sent >= self.limits.requests:
            raise RequestError(f"more than {self.limits.requests} requests would be sent")
        self.sent += 1
        try:
            return self._send(path, body)
        except TimeoutError:
            raise RequestError(f"{path} takes more than {self.limits.seconds:.0f} s") from None
        except (HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error_line(error)
            raise RequestError(f"{path} gives no answer ({reason})") from None

    def _send(self, path: str, body: object) -> tuple[int, bytes]:
        place, until = urlsplit(self.url), time.monotonic() + self.limits.seconds
        was_open, late = self._connection is not None, threading.Event()
        timer = threading.Timer(self.limits.seconds, self._give_up, [late])
        timer.daemon = True
        if not self.limits.trusted:  # a thread costs more than a request
            timer.start()
        target = place.path.rstrip("/") + path
        try:
            try:
                answer = self._exchange(target, body)
            except ConnectionError:
                if not was_open:
                    raise
                self.close()  # servers end a connection that was quiet for seconds: once more
                answer = self._exchange(target, body)
            if late.is_set():  # what came until then looks like a whole answer
                raise TimeoutError
            return answer
        except (HTTPException, OSError):
            if late.is_set() or time.monotonic() > until:
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()

    def _exchange(self, path: str, body: object) -> tuple[int, bytes]:
        if self._connection is None:
            place = urlsplit(self.url)
            kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
            self._connection = kind(place.netloc, timeout=self.limits.seconds)
            self._connection.connect()
            self._socket = self._connection.sock
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        text = None if body is None else json.dumps(body)
        self._connection.request("GET" if body is None else "POST", path, text, headers)
        with closing(self._connection.getresponse()) as answer:
            if 300 <= answer.status < 400:
                target = urlsplit(answer.getheader("Location", "")).hostname or "another path"
                shown = quote(target[:60])
                raise RequestError(f"{path} redirects to {shown}, which is not followed")
            content = answer.read(self.limits.size + 1)
            if len(content) > self.limits.size:
                raise RequestError(f"{path} answers with more than {self.limits.size >> 20} MiB")
            if not answer.isclosed() or answer.will_close:
                self.close()
            return answer.status, content

    def _give_up(self, late: threading.Event) -> None:
        """End a request that drips: a time limit of the socket begins anew with every byte."""
        late.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # closing wakes no one who reads

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
        if self._socket is not None:
            self._socket.close()
        self._connection = self._socket = None

    def __del__(self) -> None:
        """Close it when nobody asks any more."""
        self.close()


def _parsed(path: str, status: int, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        if status >= 400:
            return None
        shown = quote(content[:40].decode("utf-8", "replace"))
        raise RequestError(f"{path} answers {shown}, which is no JSON") from None


def _said(answer: Any) -> str:
    """What an error's body says, shortened."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message or "no reason").split())[:160]
