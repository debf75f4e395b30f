"""Draft a model's registry table and recipe from its folder: `python -m tests.tools.new_model`.

1. `python -m tests.tools.new_model KEY DIR` loads the folder's tokenizer, offline, and prints the
table; nothing is written. DIR needs tokenizer.json, tokenizer_config.json and config.json.
2. With --write the table is added to fixtures/models.toml and the recipe, which describes the
files, to fixtures/recipes/KEY.json. Nothing that is there is replaced.
3. Review the table. It shows what the files contain, not what is right: compare it with the
model's published facts, add `tools` to its capabilities if it has them, and the message format
if a comment says that it could not be found.
4. Run what is printed: the contracts first; then, once they hold, record the snapshots.
"""

import argparse
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from tests.harness.console import exit_status, say
from tests.harness.data.recipes import RECIPES
from tests.harness.data.registry import REGISTRY, Model, registry
from tests.harness.data.schema import parse
from tests.harness.errors import AssetError
from tests.harness.examination.folder import refuse
from tests.harness.files import write_atomically
from tests.harness.redaction import redact
from tests.harness.text import error_line, harmless
from tests.harness.tokenizer.folder import EXTRA, extra_findings, named_templates, null_keys

from .table import draft_recipe, draft_table, to_toml

REQUIRED_FILES = ("tokenizer.json", "tokenizer_config.json", "config.json")
SLOW_TOKENIZERS = {"tokenizer.model", "spiece.model", "vocab.json", "vocab.txt"}


def load_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer by AutoTokenizer; AssetError if the suite cannot use the folder."""
    _check_files(folder)
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
    if algorithm != "BPE":
        raise AssetError(f"{folder}: tokenizer.json: {algorithm}; the contracts are for BPE")
    return tokenizer


def _check_files(folder: Path) -> None:
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        raise AssetError(f"{folder}: there is no such folder") from None
    except OSError as error:
        raise AssetError(f"{folder}: {error.strerror}: check the folder") from None
    for name in REQUIRED_FILES:
        if name not in names:
            slow = name == "tokenizer.json" and names & SLOW_TOKENIZERS
            fix = ": a slow tokenizer must be saved as a fast one first" if slow else ""
            raise AssetError(f"{folder}: there is no {name}{fix}")
    try:
        templates = named_templates(folder)
    except ValueError:
        return  # whoever loads it says what is wrong
    if templates:
        raise AssetError(
            f"{folder}: tokenizer_config.json: chat_template is a list of named templates "
            f"({templates}): keep one of them"
        )


def _review(folder: Path) -> None:
    """Print what lies in the folder, changes what libraries do, and is drafted unseen or not."""
    drafted = {"generation_config.json", "special_tokens_map.json"}
    found = [line for name in EXTRA for line in extra_findings(folder, drafted, name)]
    for name in ("tokenizer_config.json", "generation_config.json"):
        if (folder / name).is_file():
            found += null_keys(folder, name, {})
    for line in found:
        say(f"review: {line}: the draft leaves it out, or has it as it is")


def _check_key(key: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", key):
        raise AssetError(f"{key!a}: a model's key consists of small letters, digits and _")
    if key in registry():
        raise AssetError(f"{key} is in fixtures already: choose another key, or remove it there")


def _add_to_fixtures(key: str, table: str, recipe: dict[str, Any]) -> None:
    """Write both files; AssetError if they cannot be written: then neither is."""
    recipe_text = json.dumps(recipe, indent=2, ensure_ascii=False) + "\n"
    path = RECIPES / f"{key}.json"
    if path.exists() and path.read_text("utf-8") != recipe_text:  # else a killed draft left it
        what = "is there, and fixtures/models.toml has no such model"
        raise AssetError(f"fixtures/recipes/{key}.json {what}: delete it, or choose another key")
    try:
        write_atomically(path, recipe_text)
        write_atomically(REGISTRY, f"{REGISTRY.read_text('utf-8').rstrip()}\n\n\n{table}")
    except OSError as error:
        path.unlink(missing_ok=True)
        what = f"fixtures cannot be written ({error.strerror or error})"
        raise AssetError(f"{what}: nothing was added; free space there, and run it again") from None


def _next_steps(key: str, folder: Path) -> str:
    run = f"pytest tests/conformance --models {key} --model-dir "
    run += shlex.quote(f"{key}={folder.absolute()}")
    return (
        f"next: {run} -k 'not snapshot'; add {key} to `raises` of the conversations that its "
        f"template refuses (fixtures/conversations); then {run} --snapshot-update"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or add it; AssetError for a key or a folder that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.new_model",
        description=__doc__,
        epilog="exit status: 0, or 2 for a key or a folder that cannot be used",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("key", metavar="KEY", help="the new model's key: small letters, digits, _")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of its files")
    parser.add_argument("--write", action="store_true", help="add both to fixtures (default: off)")
    options = parser.parse_args(arguments)
    key, folder = options.key, options.folder

    _check_key(key)
    facts = draft_table(folder, load_tokenizer(folder))
    _review(folder)
    parse(Model, {**facts, "key": key}, REGISTRY, key)
    table = harmless(to_toml(key, facts))
    if options.write:
        _add_to_fixtures(key, table, draft_recipe(folder))
    print(redact(table), end="")
    say(_next_steps(key, folder) if options.write else f"--write adds it, and recipes/{key}.json")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
