"""A folder that a model may be drafted of: complete, examined, and loaded once."""

import json
import os
from pathlib import Path
from typing import Any

from tests.harness.console import say
from tests.harness.errors import AssetError
from tests.harness.examination.folder import refuse
from tests.harness.sources.adapter_folder import ADAPTER, completed
from tests.harness.text import error_line
from tests.harness.tokenizer.folder import EXTRA, extra_findings, named_templates, null_keys

REQUIRED_FILES = ("tokenizer.json", "tokenizer_config.json", "config.json")
_KINDS = ("BPE", "Unigram", "WordPiece")
# What holds a vocabulary in place of tokenizer.json, and the class that reads it.
_SLOW = {
    "tokenizer.model": "AutoTokenizer",
    "spiece.model": "AutoTokenizer",
    "vocab.json": "AutoTokenizer",
    "vocab.txt": "BertTokenizerFast",
    "tokenizer.tiktoken": "AutoTokenizer",
}


def whole_folder(folder: Path) -> Path:
    """The folder, of an adapter a copy with its base's config.json; AssetError if more lacks."""
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        raise AssetError(f"{folder}: there is no such folder") from None
    except OSError as error:
        raise AssetError(f"{folder}: {error.strerror}: check the folder") from None
    for name in REQUIRED_FILES:
        if name in names or (name == "config.json" and ADAPTER in names):
            continue
        slow = sorted(names & set(_SLOW)) if name == "tokenizer.json" else []
        raise AssetError(f"{folder}: there is no {name}{_fix(folder, slow)}")
    try:
        templates = named_templates(folder)
    except ValueError:
        return folder  # whoever loads it says what is wrong
    if templates:
        raise AssetError(
            f"{folder}: tokenizer_config.json: chat_template is a list of named templates "
            f"({templates}): keep one of them"
        )
    return completed(folder)


def _fix(folder: Path, slow: list[str]) -> str:
    """The line to type that makes tokenizer.json of what is there."""
    if not slow:
        return ""
    kind = _SLOW[slow[0]]
    load = f"from transformers import {kind}; {kind}.from_pretrained({str(folder)!r})"
    code = json.dumps(f"{load}.save_pretrained({str(folder)!r})")
    return f", only {', '.join(slow)}: type python -c {code}"


def load_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer by AutoTokenizer; AssetError if the suite cannot use the folder."""
    folder = whole_folder(folder)
    refuse(folder, None, "not drafted", "repair the folder")
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}  # read at import
    from tokenizers import Tokenizer
    from transformers import CONFIG_MAPPING, AutoTokenizer

    try:
        model_type = json.loads((folder / "config.json").read_bytes()).get("model_type")
        algorithm = type(Tokenizer.from_file(str(folder / "tokenizer.json")).model).__name__
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:
        raise AssetError(f"{folder} cannot be loaded: {error_line(error)}") from None
    if model_type not in CONFIG_MAPPING:
        raise AssetError(f"{folder}: config.json: transformers knows no model_type {model_type!a}")
    if algorithm not in _KINDS:
        kinds = ", ".join(_KINDS)
        raise AssetError(f"{folder}: tokenizer.json: {algorithm}; the contracts are for {kinds}")
    if tokenizer.eos_token_id is None:
        raise AssetError(
            f"{folder}: tokenizer_config.json: there is no eos_token, and the contracts are for "
            "models whose texts end: name the token that ends one ([SEP] of an encoder)"
        )
    return tokenizer


def review(folder: Path) -> None:
    """Print what lies in the folder, changes what libraries do, and is drafted unseen or not."""
    drafted = {"generation_config.json", "special_tokens_map.json", "chat_template.jinja"}
    found = [line for name in EXTRA for line in extra_findings(folder, drafted, name)]
    for name in ("tokenizer_config.json", "generation_config.json"):
        if (folder / name).is_file():
            found += null_keys(folder, name, {})
    for line in found:
        say(f"review: {line}: the draft leaves it out, or has it as it is")
