"""What a library makes of a model's folder: runs inside each environment and judges nothing.

`python -m tests.tools.drift.observe` reads tasks as JSON from stdin and writes one file a task.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.harness.data.cases import ChatCase, TextCase, conversations, texts
from tests.harness.data.registry import registry
from tests.harness.files import write_atomically
from tests.harness.tokenizer.tokenizer_json import pipeline

from .observers.calls import observe_calls, observe_settings
from .record import Observer, short, type_name

TOKENS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
SETTINGS = (
    *("padding_side", "truncation_side", "model_max_length", "clean_up_tokenization_spaces"),
    *("model_input_names", "chat_template", "is_fast"),
)
FLAGS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")


def _spans(offsets: Sequence[Sequence[int]]) -> list[list[int]]:
    return [list(span) for span in offsets]


def _streamed(backend: Any, ids: list[int]) -> str:
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    return "".join(stream.step(backend, token_id) or "" for token_id in ids)


def _added_tokens(decoder: dict[int, Any]) -> dict[str, dict[str, Any]]:
    return {
        str(token_id): {flag: getattr(token, flag) for flag in FLAGS}
        for token_id, token in decoder.items()
    }


def _observe_pipeline(observer: Observer, backend: Any) -> None:
    for part, value in pipeline(backend).items():
        observer.note("pipeline", part, "", short(value))


def _observe_text(observer: Observer, auto: Any, case: TextCase) -> None:
    """Ids without special tokens, offsets, and the ways back to text."""
    text, name, attempt = case.full_text, case.name, observer.attempt

    def offsets() -> list[list[int]]:
        return _spans(auto(text, return_offsets_mapping=True)["offset_mapping"])

    def without_special() -> Any:
        return auto.decode(auto.encode(text), skip_special_tokens=True)

    call = "encode(add_special_tokens=False)"
    plain = attempt("ids", call, name, lambda: auto.encode(text, add_special_tokens=False))
    attempt("offsets", "return_offsets_mapping=True", name, offsets)
    attempt("decode", "decode(skip_special_tokens=True)", name, without_special)
    if plain is not None:
        attempt("decode", "decode", name, auto.decode, plain)
        attempt("decode", "DecodeStream", name, _streamed, auto.backend_tokenizer, plain)


def _observe_chat(observer: Observer, auto: Any, chat: ChatCase) -> None:
    """The prompt's text, and its ids by `tokenize=True`, whatever type they come in."""

    def apply(tokenize: bool) -> Any:
        messages = [dict(message) for message in chat.messages]
        return auto.apply_chat_template(messages, tokenize=tokenize, **chat.template_arguments())

    def ids() -> list[int]:
        batch = apply(tokenize=True)
        return list(batch if isinstance(batch, list) else batch["input_ids"])

    call = "apply_chat_template"
    observer.attempt("rendered text", call, chat.name, apply, False)
    observer.attempt("ids", call, chat.name, ids)


def _observe_tokenizer(observer: Observer, auto: Any) -> None:
    """Class, pipeline and settings of the loaded tokenizer, and its special tokens."""
    attempt = observer.attempt
    observer.note("pipeline", "class", "", type(auto).__name__)
    _observe_pipeline(observer, auto.backend_tokenizer)
    for name in SETTINGS:
        attempt("pipeline", name, "", lambda setting: short(getattr(auto, setting)), name)
    attempt("pipeline", "vocabulary", "", lambda: short(auto.get_vocab()))
    for name in TOKENS:
        token = f"{name}_token"
        pair = lambda token: [getattr(auto, f"{token}_id"), getattr(auto, token)]  # noqa: E731
        attempt("special tokens", token, "", pair, token)
    attempt("special tokens", "all_special_ids", "", lambda: sorted(auto.all_special_ids))
    attempt("special tokens", "added tokens", "", lambda: _added_tokens(auto.added_tokens_decoder))


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
        ids = attempt("ids", "encode", name, lambda text: raw.encode(text).ids, text)
        if save and ids is not None:
            attempt("offsets", "encode", name, lambda text: _spans(raw.encode(text).offsets), text)
            whole = lambda ids: raw.decode(ids, skip_special_tokens=False)  # noqa: E731
            attempt("decode", "decode", name, whole, ids)
            attempt("decode", "DecodeStream", name, _streamed, raw, ids)
    if save:
        _observe_pipeline(observer, raw)
        decoder = raw.get_added_tokens_decoder
        attempt("special tokens", "added tokens", "", lambda: _added_tokens(decoder()))
        attempt("return type", "save", "", lambda: raw.save(str(save / "tokenizer.json")))
        observer.files(save)


def _observe_auto(observer: Observer, folder: Path, save: Path | None, key: str) -> None:
    """A folder through `AutoTokenizer`, as users load it; nothing in it may run code."""
    from transformers import AutoTokenizer

    load = lambda: AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)  # noqa: E731
    auto = _loaded(observer, load)
    if auto is None:
        return
    observer.names[type(auto).__name__] = "<class>"  # which is a difference of its own
    with observer.messages("use"):
        for case in texts().values():
            observer.attempt("ids", "encode", case.name, auto.encode, case.full_text)
            if save:
                _observe_text(observer, auto, case)
        if save is None:
            return
        for chat in conversations().values():
            if registry()[key].can("chat", *chat.needs):
                _observe_chat(observer, auto, chat)
    with observer.messages("calls"):
        observer.attempt("calls", "all", "", observe_calls, observer, auto, key)
    with observer.messages("settings"):
        observer.attempt("settings", "all", "", observe_settings, observer, folder, key)
    _observe_tokenizer(observer, auto)
    with observer.messages("save_pretrained"):
        saved = lambda: type_name(auto.save_pretrained(str(save)))  # noqa: E731
        observer.attempt("return type", "save_pretrained", "", saved)
    observer.files(save)


def main() -> None:
    """Do the tasks in order; a file in place says that its task is done."""
    for task in json.load(sys.stdin):
        folder, out = Path(task["folder"]), Path(task["out"])
        save = Path(task["save"]) if task["save"] else None
        observer = Observer(
            {str(folder): "<folder>", str(save): "<saved>", sys.prefix: "<environment>"}
        )
        if task["subject"] == "raw":
            _observe_raw(observer, folder, save)
        elif task["subject"] == "engine":
            from .engine import observe_engine

            observe_engine(observer, folder, task["key"], task["engine"], Path(task["home"]))
        elif task["subject"] == "labels":
            from .observers.training import observe_training

            observe_training(observer, folder, task["key"])
        elif task["subject"] == "model":
            from .observers.model import observe_model

            observe_model(observer, folder, task["key"], Path(task["weights"]))
        else:
            _observe_auto(observer, folder, save, task["key"])
        write_atomically(out, json.dumps(observer.observed))


if __name__ == "__main__":
    main()
