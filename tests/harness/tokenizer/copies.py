"""Copies of a model's tokenizer for tests that change it: the folder's own, but quick to load.

Loading Llama-3.1's 280,147 merges takes most of a second. A copy keeps every file, token and id,
and of the merges those that can apply to `SAMPLES`; on these texts it is the model's tokenizer.
"""

import atexit
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from .loaded import LoadedTokenizer, load_auto

SENTENCE = "I am excited to show Tokenizers in action to my LLM engineers"
PRICE = "Price is $374"
SPACED = "x != y . It 's"
SAMPLES = (SENTENCE, PRICE, SPACED, "hello", "world", "Hi", "Hello there", "a", "b", "a b", "ab")


def lean_folder(tokenizer: LoadedTokenizer) -> Path:
    """The folder's copy with few merges; made once a session and removed with it."""
    known: Path | None = vars(tokenizer).get("lean_folder")
    if known is None:
        known = vars(tokenizer)["lean_folder"] = kept_folder(f"{tokenizer.key}-")
        _fill(tokenizer, known)
    return known


def kept_folder(prefix: str) -> Path:
    """A folder that is there until Python ends."""
    folder = mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _fill(tokenizer: LoadedTokenizer, target: Path) -> None:
    for path in tokenizer.folder.iterdir():
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        elif path.suffix in (".json", ".jinja"):  # neither weights nor pictures
            shutil.copy(path, target)
    content = dict(tokenizer.json_file.content)
    if "merges" in content["model"]:  # of BPE alone
        content["model"] = {**content["model"], "merges": _merges(tokenizer)}
    (target / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")


_MERGES: dict[int, list[Any]] = {}  # by the file's object, which both Llamas share


def _merges(tokenizer: LoadedTokenizer) -> list[Any]:
    """The merges whose product is part of a sample; others can never apply to one."""
    file = tokenizer.json_file
    if id(file) not in _MERGES:
        encode = tokenizer.tokenizers.encode
        texts = {"".join(encode(text).tokens) for text in SAMPLES}
        ends = range(1, max(map(len, texts)) + 1)
        parts = {text[at:end] for text in texts for at in range(len(text)) for end in ends}
        merges = file.content["model"]["merges"]
        pairs = bool(merges) and not isinstance(merges[0], str)  # newer files write pairs
        kept = [m for m in merges if "".join(m) in parts] if pairs else []
        _MERGES[id(file)] = kept if pairs else [m for m in merges if m.replace(" ", "") in parts]
    return _MERGES[id(file)]


def own_copy(tokenizer: LoadedTokenizer) -> Any:
    """A tokenizer that may be changed within `restored`; loaded once a session."""
    known = vars(tokenizer).get("own_copy")
    if known is None:
        known = vars(tokenizer)["own_copy"] = load_auto(lean_folder(tokenizer))
    return known


@contextmanager
def restored(auto: Any) -> Iterator[None]:
    """Undo what is set on a tokenizer meanwhile, tokens that were added to it excepted."""
    backend = auto.backend_tokenizer
    own = {name: _copied(value) for name, value in vars(auto).items()}
    post_processor, splits = backend.post_processor, getattr(backend, "encode_special_tokens", None)
    try:
        yield
    finally:
        vars(auto).clear()
        vars(auto).update(own)
        with suppress(TypeError):  # old tokenizers take none away; there no setting builds one
            backend.post_processor = post_processor
        if splits is not None:
            backend.encode_special_tokens = splits
        backend.no_truncation()
        backend.no_padding()


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list | set) else value
