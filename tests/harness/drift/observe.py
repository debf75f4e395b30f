"""What a library makes of a model's folder: runs inside each environment and judges nothing.

`python -m tests.harness.drift.observe` reads tasks as JSON from stdin and writes one file a task.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..cases import ChatCase, TextCase, conversations, texts
from ..models import registry
from ..prompts import options
from ..tokenizer_file import pipeline
from .observer import Observer, short, type_name

HELLO = [{"role": "user", "content": "Hi"}]
TOKENS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
SETTINGS = (
    *("padding_side", "truncation_side", "model_max_length", "clean_up_tokenization_spaces"),
    *("model_input_names", "chat_template", "is_fast"),
)
FLAGS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")


def loaded(observer: Observer, load: Callable[[], Any]) -> Any:
    """The loaded tokenizer, or None; what is kept is only whether it could be had."""
    made: list[Any] = []
    with observer.messages("load"):
        observer.attempt("load", "load", "", lambda: made.append(load()) or "loaded")
    return made[0] if made else None


def streamed(backend: Any, ids: list[int]) -> str:
    """The text of the ids, decoded one by one."""
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    return "".join(stream.step(backend, token_id) or "" for token_id in ids)


def observe_pipeline(observer: Observer, backend: Any) -> None:
    """Every part of the pipeline and the model's flags."""
    probe = Observer(observer.names)
    parts = probe.attempt("pipeline", "parts", "", lambda: pipeline(backend))
    found = probe.observed["pipeline"]["parts"][""] if parts is None else None
    for part, value in (parts or {"parts": found}).items():
        observer.note("pipeline", part, "", short(value))


def added_tokens(decoder: dict[int, Any]) -> dict[str, dict[str, Any]]:
    """Id to content and flags."""
    return {str(i): {flag: getattr(it, flag) for flag in FLAGS} for i, it in decoder.items()}


def observe_raw(observer: Observer, folder: Path, save: Path | None) -> None:
    """A folder's `tokenizer.json` through `tokenizers` alone."""
    from tokenizers import Tokenizer

    raw = loaded(observer, lambda: Tokenizer.from_file(str(folder / "tokenizer.json")))
    if raw is None:
        return
    for case in texts().values():
        encode = observer.attempt
        name, text = case.name, case.full_text
        ids = encode("ids", "encode", name, lambda text=text: raw.encode(text).ids)
        if save is None or ids is None:
            continue
        encode(
            *("offsets", "encode", name),
            lambda text=text: [list(span) for span in raw.encode(text).offsets],
        )
        encode(
            *("decode", "decode", name),
            lambda ids=ids: raw.decode(ids, skip_special_tokens=False),
        )
        encode("decode", "DecodeStream", name, lambda ids=ids: streamed(raw, ids))
    if save:
        observe_pipeline(observer, raw)
        decoder = raw.get_added_tokens_decoder
        observer.attempt("special tokens", "added tokens", "", lambda: added_tokens(decoder()))
        observer.attempt("load", "save", "", lambda: raw.save(str(save / "tokenizer.json")))
        observer.files(save)


def observe_text(observer: Observer, auto: Any, case: TextCase) -> None:
    """Ids without special tokens, offsets, and the ways back to text."""
    text, name, attempt = case.full_text, case.name, observer.attempt
    plain = attempt(
        *("ids", "encode(add_special_tokens=False)", name),
        lambda: auto.encode(text, add_special_tokens=False),
    )
    attempt(
        *("offsets", "return_offsets_mapping=True", name),
        lambda: [list(it) for it in auto(text, return_offsets_mapping=True)["offset_mapping"]],
    )
    attempt(
        *("decode", "decode(skip_special_tokens=True)", name),
        lambda: auto.decode(auto.encode(text), skip_special_tokens=True),
    )
    if plain is not None:
        attempt("decode", "decode", name, lambda: auto.decode(plain))
        attempt("decode", "DecodeStream", name, lambda: streamed(auto.backend_tokenizer, plain))


def observe_chat(observer: Observer, auto: Any, chat: ChatCase) -> None:
    """The prompt's text, and its ids by `tokenize=True`, whatever type they come in."""

    def ask(tokenize: bool) -> Any:
        messages = [dict(it) for it in chat.messages]
        return auto.apply_chat_template(messages, tokenize=tokenize, **options(chat))

    def ids() -> list[int]:
        batch = ask(tokenize=True)
        return list(batch if isinstance(batch, list) else batch["input_ids"])

    call = "apply_chat_template"
    observer.attempt("rendered text", call, chat.name, lambda: ask(tokenize=False))
    observer.attempt("ids", call, chat.name, ids)


def observe_types(observer: Observer, auto: Any) -> None:
    """The types of what the usual calls return."""
    render = auto.apply_chat_template
    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: auto.encode("Hi"),
        "__call__": lambda: auto("Hi"),
        "__call__()['input_ids']": lambda: auto("Hi")["input_ids"],
        "decode": lambda: auto.decode([1]),
        "batch_decode": lambda: auto.batch_decode([[1], [2]]),
        "tokenize": lambda: auto.tokenize("Hi"),
        "convert_tokens_to_ids": lambda: auto.convert_tokens_to_ids(["Hi"]),
        "apply_chat_template(tokenize=False)": lambda: render(HELLO, tokenize=False),
        "apply_chat_template(tokenize=True)": lambda: render(HELLO, tokenize=True),
        "apply_chat_template(return_dict=True)": lambda: render(HELLO, return_dict=True),
    }
    for call, work in calls.items():
        observer.attempt("return type", call, "", lambda work=work: type_name(work()))


def observe_settings(observer: Observer, auto: Any) -> None:
    """Class, pipeline and settings of the loaded tokenizer, and its special tokens."""
    observer.note("pipeline", "class", "", type(auto).__name__)
    observe_pipeline(observer, auto.backend_tokenizer)
    for name in SETTINGS:
        observer.attempt("pipeline", name, "", lambda name=name: short(getattr(auto, name)))
    observer.attempt("pipeline", "vocabulary", "", lambda: short(auto.get_vocab()))
    for name in TOKENS:
        pair = (f"{name}_token_id", f"{name}_token")
        observer.attempt(
            *("special tokens", f"{name}_token", ""),
            lambda pair=pair: [getattr(auto, it) for it in pair],
        )
    observer.attempt("special tokens", "all_special_ids", "", lambda: sorted(auto.all_special_ids))
    decoder = lambda: added_tokens(auto.added_tokens_decoder)  # noqa: E731
    observer.attempt("special tokens", "added tokens", "", decoder)


def observe_auto(observer: Observer, folder: Path, save: Path | None, key: str) -> None:
    """A folder through `AutoTokenizer`, as users load it; nothing in it may run code."""
    from transformers import AutoTokenizer

    load = lambda: AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)  # noqa: E731
    auto = loaded(observer, load)
    if auto is None:
        return
    with observer.messages("use"):
        for case in texts().values():
            whole = case.full_text
            observer.attempt("ids", "encode", case.name, lambda whole=whole: auto.encode(whole))
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
        observer = Observer({str(folder): "<folder>", str(save): "<saved>", sys.prefix: "<prefix>"})
        if task["subject"] == "raw":
            observe_raw(observer, folder, save)
        else:
            observe_auto(observer, folder, save, task["key"])
        scratch = out.with_name(f".{out.name}")
        scratch.write_text(json.dumps(observer.observed))
        scratch.replace(out)


if __name__ == "__main__":
    main()
