"""A GGUF of a user's own: examined, and served by its keys alone.

What decides ids and prompts is copied into a tiny file, so that a model of any size costs the same
and no byte of its weights reaches the engine.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..data.engines import Engine
from ..data.registry import Model, registry
from ..errors import AssetError, LoadError
from ..examination.entries import UnfitError
from ..examination.gguf_header import Header, read_header
from ..examination.limits import Limits, Report, in_child
from ..text import allowed_values, readable
from .client import Client, RequestError
from .starting import start
from .tiny import write_tiny

_FRONT = "tokenizer.ggml."
_COPIED = ("tokenizer.", "general.name", "general.sampling.")
_LISTS = {"tokens": str, "token_type": int, "scores": float, "merges": str}
_MOST_TOKENS = 1_000_000
_LIMITS = Limits(memory=6 << 30, cpu=20, wall=80.0)  # a sound file of 150,000 tokens takes 2 s
_TEXTS = ("Price is $", " 374.00\r\n<|end|></s>", "na\u00efve \U0001f600 \u4e2d\u6587 12345" * 20)
_MESSAGES: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "Hi"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}],
)


def parse_files(options: list[str], served: Collection[str]) -> dict[str, Path]:
    """`KEY=FILE` options as files by key; AssetError for an unknown key or a missing file.

    `served` are the keys of models that the engine has facts of.
    """
    files = {}
    for option in options:
        key, _, name = option.partition("=")
        if key not in registry() or not name:
            allowed = allowed_values(key, registry())
            raise AssetError(readable(f"--gguf {option}: write KEY=FILE; {allowed}"))
        if key not in served:
            fix = f"add [llama_cpp.files.{key}] to fixtures/engines.toml"
            raise AssetError(f"--gguf {key}: nothing says what its GGUF should be: {fix}")
        path = Path(name).absolute()
        if not path.is_file():
            raise AssetError(readable(f"--gguf {option}: there is no file {name}"))
        files[key] = path
    return files


def copy_given(path: Path, model: Model, engine: Engine, target: Path) -> None:
    """Write a tiny file with the keys of a given one, and try it in a child process.

    AssetError, which names file and key, if it must not be served.
    """
    try:
        header = read_header(path)
        _check_vocabulary(path, header)
        keys = [key for key in header.metadata if key.startswith(_COPIED)]
        write_tiny(target, model, {key: header.metadata[key] for key in keys}, header.types)
        _try_apart(path, target, engine)
    except UnfitError as unfit:
        fix = f"convert it anew, or leave out --gguf {model.key}"
        raise AssetError(f"{model.key}: {unfit.line(path.parent)}: {fix}") from None


def _check_vocabulary(path: Path, header: Header) -> None:
    """UnfitError for lists that the engine would read beyond their ends, or ids of no token."""
    metadata = header.metadata
    tokens = metadata.get(f"{_FRONT}tokens")
    if not isinstance(tokens, list) or not tokens:
        raise UnfitError(path.name, "is missing, so it has no vocabulary", f"{_FRONT}tokens")
    if len(tokens) > _MOST_TOKENS:
        what = f"has {len(tokens):,} tokens, and at most {_MOST_TOKENS:,} are allowed"
        raise UnfitError(path.name, what, f"{_FRONT}tokens")
    for name, kind in _LISTS.items():
        values: Any = metadata.get(f"{_FRONT}{name}")
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise UnfitError(path.name, f"is no list of {kind.__name__}", f"{_FRONT}{name}")
        if name != "merges" and len(values) != len(tokens):
            what = f"has {len(values):,} values for {len(tokens):,} tokens"
            raise UnfitError(path.name, what, f"{_FRONT}{name}")
    for key, value in metadata.items():
        is_id = key.startswith(_FRONT) and key.endswith("_token_id")
        if is_id and not (isinstance(value, int) and 0 <= value < len(tokens)):
            raise UnfitError(path.name, f"is {value!r:.40}, which is no token's id", key)


def _try_apart(path: Path, copy: Path, engine: Engine) -> None:
    """Start the engine on the copy in a child, cut texts and render; UnfitError if that fails."""

    def work(report: Report) -> str:
        report("loading")
        try:
            server = start(engine, copy, engine.options)
        except LoadError as error:
            return str(error).partition(" (")[2].rstrip(")")
        client = Client(server.listening_address)
        routes = engine.routes
        for number, text in enumerate(_TEXTS):
            report(f"cutting text {number} into tokens")
            client.answer(routes["ids"].path, {routes["ids"].fields["text"]: text})
        for messages in _MESSAGES:
            report("rendering a conversation")
            try:
                client.answer(routes["prompt"].path, {"messages": messages})
            except RequestError as error:
                return f"{error} while rendering a conversation"
        return ""

    ending = in_child(work, _LIMITS)
    if ending.death or ending.result:
        what = f"{ending.death} {ending.step}".strip() if ending.death else str(ending.result)
        key = "tokenizer.chat_template" if "rendering" in what else ""
        raise UnfitError(path.name, f"makes {engine.title} fail: {what}", key)
