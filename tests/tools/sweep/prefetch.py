"""A stream made in a thread, ahead of who reads it."""

from collections.abc import Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """The same items, made in a thread that runs up to `depth` + 1 items ahead.

    What the iteration raises is raised here.
    """
    queue: Queue[tuple[str, Any]] = Queue(depth)
    closed = Event()

    def put(kind: str, value: Any) -> None:
        while not closed.is_set():
            try:
                return queue.put((kind, value), timeout=0.5)
            except Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put("item", item)
                if closed.is_set():
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while (received := queue.get())[0] == "item":
            yield received[1]
        if received[0] == "error":
            raise received[1]
    finally:
        closed.set()
