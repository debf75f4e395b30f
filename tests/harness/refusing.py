"""Models whose files cannot be had or read: one test fails for it, the model's others are skipped.

Without this each of a thousand tests would try again, for minutes, and say the same.
"""

import json
from pathlib import Path

import pytest

from .loading import Loaded
from .options import versions

SAID = pytest.StashKey[set[str]]()


def refuse(config: pytest.Config, fault: str) -> None:
    """Fail the running test if there is a fault; skip it if another test has said so.

    No known failure excuses it: nothing is judged.
    """
    said = config.stash.setdefault(SAID, set())
    if fault in said:
        pytest.skip(f"not checked: {fault}")
    if fault:
        said.add(fault)
        pytest.fail(fault, pytrace=False)


def absent(loaded: Loaded) -> str:
    """Why the model's folder cannot be had; empty if it is there."""
    try:
        _ = loaded.folder
    except pytest.fail.Exception as error:
        return str(error)
    return ""


def fault_of(loaded: Loaded) -> str:
    """Why nothing can be checked of the model, in one line; empty if it loads. Looked at once."""
    if "fault" not in vars(loaded):
        vars(loaded)["fault"] = absent(loaded) or unreadable(loaded)
    return str(vars(loaded)["fault"])


def unreadable(loaded: Loaded) -> str:
    """Which of the folder's files the libraries cannot read; empty if they load all."""
    place, now = f"{loaded.key}: {{}} in {loaded.folder}", versions()
    mend = mend_of(loaded)
    for name in loaded.model.files:
        if problem := no_json(loaded.folder / name):
            return f"{place.format(name)} is no JSON ({problem}): {mend}"
    try:
        _ = loaded.raw
    except BaseException as error:  # a PanicException of the Rust side is no Exception
        reader = f"tokenizers {now['tokenizers']} cannot read it ({said(error)})"
        return f"{place.format('tokenizer.json')}: {reader}: {mend}"
    try:
        _ = loaded.auto
    except BaseException as error:
        reader = f"transformers {now['transformers']} cannot load them ({said(error)})"
        return f"{place.format('the files')}: {reader}: {mend}"
    return ""


def no_json(path: Path) -> str:
    """What is wrong with a JSON file; empty if nothing is, or if it is not there."""
    try:
        if path.is_file():
            json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        return said(error)
    return ""


def mend_of(loaded: Loaded) -> str:
    """What to do about a file that cannot be read."""
    if loaded.source == "directory":
        return f"mend the folder, or leave out --model-dir {loaded.key}"
    return f"python -m tests.tools.fetch --source {loaded.source} {loaded.key}"


def said(error: BaseException) -> str:
    """The first line of an error, and of what kind it is; what must end the run, does."""
    if isinstance(error, KeyboardInterrupt | SystemExit | pytest.exit.Exception):
        raise error
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
