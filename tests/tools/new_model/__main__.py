"""Drafts a model's table and recipe from its folder: what stands there, not that it is right.

`python -m tests.tools.new_model KEY DIR` prints the table; with `--write` both go into `fixtures`.
"""

import argparse
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from tests.harness.atomic import write_atomically
from tests.harness.commands import exit_status
from tests.harness.errors import AssetError
from tests.harness.models import REGISTRY, Model, parse, registry
from tests.harness.progress import say
from tests.harness.recipes import RECIPES
from tests.harness.secrets import scrub

from .table import name, recipe, table, toml

NEEDED = ("tokenizer.json", "tokenizer_config.json", "config.json")
SLOW = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
REVIEW = "# review: drafted from a folder; it says what stands there, not that it is right"
TURNS = """\
# turn, generation_prompt: could not be seen by rendering; say how the template frames a message,
# with {role} and {content}, and what add_generation_prompt appends (tests/harness/models.py)"""


def check_key(key: str) -> None:
    """Raise AssetError for a key that is none, or that is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", key):
        raise AssetError(f"{key!a}: a model's key is small letters, digits and _")
    if key in registry() or (RECIPES / f"{key}.json").exists():
        raise AssetError(f"{key} is in fixtures already: choose another key, or remove it there")


def loaded(folder: Path) -> Any:
    """The folder's tokenizer by AutoTokenizer; AssetError if the suite cannot read the folder."""
    if not folder.is_dir():
        raise AssetError(f"{folder}: there is no such folder")
    for needed in NEEDED:
        if not (folder / needed).is_file():
            slow = needed == "tokenizer.json" and any((folder / it).is_file() for it in SLOW)
            mend = ": a slow tokenizer must be saved as a fast one first" if slow else ""
            raise AssetError(f"{folder}: there is no {needed}{mend}")
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}  # read at import
    from tokenizers import Tokenizer
    from transformers import CONFIG_MAPPING, AutoTokenizer

    try:
        kind = json.loads((folder / "config.json").read_bytes()).get("model_type")
        model = type(Tokenizer.from_file(str(folder / "tokenizer.json")).model).__name__
        if kind not in CONFIG_MAPPING:
            raise AssetError(f"{folder}: config.json: transformers knows no model_type {kind!a}")
        if model != "BPE":
            raise AssetError(f"{folder}: tokenizer.json: {model}; the contracts are for BPE")
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except AssetError:
        raise
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        raise AssetError(f"{folder} cannot be loaded: {type(error).__name__}: {said}") from None


def written(key: str, facts: dict[str, Any]) -> str:
    """The model's tables as they go into `fixtures/models.toml`."""
    lines = [REVIEW, f"[{key}]"]
    lines += [f"{it} = {toml(v)}" for it, v in facts.items() if not isinstance(v, dict)]
    if "chat" in facts["capabilities"] and "turn" not in facts:
        lines += TURNS.splitlines()
    for part in ("tokenizer", "files", "architecture"):
        lines += ["", f"[{key}.{part}]"]
        lines += [f"{name(it)} = {toml(value)}" for it, value in facts[part].items()]
    return "\n".join(lines) + "\n"


def add(key: str, text: str, content: dict[str, Any]) -> None:
    """Write the recipe, then the table, each whole."""
    made = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(RECIPES / f"{key}.json", lambda path: path.write_text(made, "utf-8"))
    whole = f"{REGISTRY.read_text('utf-8').rstrip()}\n\n\n{text}"
    write_atomically(REGISTRY, lambda path: path.write_text(whole, "utf-8"))


def next_steps(key: str, folder: Path) -> str:
    """What to type next, on one line."""
    run = f"pytest tests/conformance --models {key} --model-dir "
    run += shlex.quote(f"{key}={folder.absolute()}")
    return (
        f"next: {run} -k 'not snapshot'; add {key} to `raises` of the conversations that its "
        f"template refuses (fixtures/conversations); then {run} --snapshot-update"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or write it; AssetError for a key or a folder that cannot be taken."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.new_model", description=__doc__)
    parser.add_argument("key", metavar="KEY", help="what the model is to be called here")
    parser.add_argument("folder", metavar="DIR", type=Path, help="its folder")
    parser.add_argument("--write", action="store_true", help="add both to fixtures (default: off)")
    options = parser.parse_args(arguments)
    key, folder = options.key, options.folder

    check_key(key)
    facts = table(folder, loaded(folder))
    parse(Model, {**facts, "key": key}, REGISTRY, key)
    text = written(key, facts)
    if options.write:
        add(key, text, recipe(folder))
    print(scrub(text), end="")
    say(next_steps(key, folder) if options.write else f"--write adds it, and recipes/{key}.json")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
