"""Copies of a model's tokenizer for tests that change it: the folder's own, but quick to load.

Loading Llama-3.1's 280,147 merges takes most of a second. A copy keeps every file, token and id,
and of the merges those that can apply to `SAMPLES`; on these texts it is the model's tokenizer.
"""

import gc
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .loaded import LoadedTokenizer

SENTENCE = "I am excited to show Tokenizers in action to my LLM engineers"
PRICE = "Price is $374"
SPACED = "x != y . It 's"
SAMPLES = (SENTENCE, PRICE, SPACED, "hello", "world", "Hi", "Hello there", "a", "b", "a b", "ab")


def lean_folder(tokenizer: LoadedTokenizer) -> Path:
    """The folder's copy with few merges; made once a session and removed with it."""
    known = vars(tokenizer).get("lean_folder")
    if known is None:
        known = vars(tokenizer)["lean_folder"] = TemporaryDirectory(prefix=f"{tokenizer.key}-")
        _fill(tokenizer, Path(known.name))
    return Path(known.name)


def _fill(tokenizer: LoadedTokenizer, target: Path) -> None:
    for path in tokenizer.folder.iterdir():
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        elif path.suffix in (".json", ".jinja"):  # neither weights nor pictures
            shutil.copy(path, target)
    encode = tokenizer.tokenizers.encode
    pieces = "\n".join("".join(encode(text).tokens) for text in SAMPLES)
    content = dict(tokenizer.json_file.content)
    merges = content["model"]["merges"]
    kept = [merge for merge in merges if _product(merge) in pieces]
    content["model"] = {**content["model"], "merges": kept}
    (target / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")


def _product(merge: str | list[str]) -> str:
    return merge.replace(" ", "") if isinstance(merge, str) else "".join(merge)


def load_copy(folder: Path, **given: Any) -> Any:
    """What AutoTokenizer makes of a folder and further arguments of `from_pretrained`."""
    from transformers import AutoTokenizer

    auto = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, **given)
    gc.freeze()  # as for the shared tokenizers
    return auto


def own_copy(tokenizer: LoadedTokenizer) -> Any:
    """A tokenizer that may be changed within `restored`; loaded once a session."""
    known = vars(tokenizer).get("own_copy")
    if known is None:
        known = vars(tokenizer)["own_copy"] = load_copy(lean_folder(tokenizer))
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
        backend.post_processor = post_processor
        if splits is not None:
            backend.encode_special_tokens = splits
        backend.no_truncation()
        backend.no_padding()


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list | set) else value
