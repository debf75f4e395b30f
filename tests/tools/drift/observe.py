"""What a library makes of a model's folder: runs inside each environment and judges nothing.

`python -m tests.tools.drift.observe` reads tasks as JSON from stdin and writes one file a task.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.data.cases import conversations, texts
from tests.harness.data.registry import registry

from .record import Observer, type_name
from .subjects import (
    added_tokens,
    observe_chat,
    observe_pipeline,
    observe_settings,
    observe_text,
    observe_types,
    spans,
    streamed,
)


def _loaded(observer: Observer, load: Callable[[], Any]) -> Any:
    """The loaded tokenizer, or None; what is kept is only whether it could be had."""
    made: list[Any] = []

    def work() -> str:
        made.append(load())
        return "loaded"

    with observer.messages("load"):
        observer.attempt("load", "load", "", work)
    return made[0] if made else None


def _observe_raw(observer: Observer, folder: Path, save: Path | None) -> None:
    """A folder's `tokenizer.json` through `tokenizers` alone; without `save` only ids."""
    from tokenizers import Tokenizer

    raw = _loaded(observer, lambda: Tokenizer.from_file(str(folder / "tokenizer.json")))
    if raw is None:
        return
    attempt = observer.attempt
    for case in texts().values():
        text, name = case.full_text, case.name
        ids = attempt("ids", "encode", name, lambda it: raw.encode(it).ids, text)
        if save and ids is not None:
            attempt("offsets", "encode", name, lambda it: spans(raw.encode(it).offsets), text)
            whole = lambda it: raw.decode(it, skip_special_tokens=False)  # noqa: E731
            attempt("decode", "decode", name, whole, ids)
            attempt("decode", "DecodeStream", name, streamed, raw, ids)
    if save:
        observe_pipeline(observer, raw)
        decoder = raw.get_added_tokens_decoder
        attempt("special tokens", "added tokens", "", lambda: added_tokens(decoder()))
        attempt("return type", "save", "", lambda: raw.save(str(save / "tokenizer.json")))
        observer.files(save)


def _observe_auto(observer: Observer, folder: Path, save: Path | None, key: str) -> None:
    """A folder through `AutoTokenizer`, as users load it; nothing in it may run code."""
    from transformers import AutoTokenizer

    load = lambda: AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)  # noqa: E731
    auto = _loaded(observer, load)
    if auto is None:
        return
    with observer.messages("use"):
        for case in texts().values():
            observer.attempt("ids", "encode", case.name, auto.encode, case.full_text)
            if save:
                observe_text(observer, auto, case)
        if save is None:
            return
        for chat in conversations().values():
            if registry()[key].can("chat", *chat.needs):
                observe_chat(observer, auto, chat)
        observe_types(observer, auto)
    observe_settings(observer, auto)
    with observer.messages("save_pretrained"):
        saved = lambda: type_name(auto.save_pretrained(str(save)))  # noqa: E731
        observer.attempt("return type", "save_pretrained", "", saved)
    observer.files(save)


def main() -> None:
    """Do the tasks in order; a file in place says that its task is done."""
    for task in json.load(sys.stdin):
        folder, out = Path(task["folder"]), Path(task["out"])
        save = Path(task["save"]) if task["save"] else None
        names = {str(folder): "<folder>", str(save): "<saved>", sys.prefix: "<environment>"}
        observer = Observer(names)
        if task["subject"] == "raw":
            _observe_raw(observer, folder, save)
        else:
            _observe_auto(observer, folder, save, task["key"])
        scratch = out.with_name(f".{out.name}")
        scratch.write_text(json.dumps(observer.observed))
        scratch.replace(out)


if __name__ == "__main__":
    main()
