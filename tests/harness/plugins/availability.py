"""Models whose files cannot be had or read: one test fails for it, the model's others are skipped.

Without this each of a thousand tests would try again, for minutes, and report the same.
"""

import pytest

from ..sources.folders import repair
from ..text import error_line
from ..tokenizer.loaded import LoadedTokenizer
from ..versions import versions

_REPORTED = pytest.StashKey[set[str]]()


def fail_once(config: pytest.Config, fault: str) -> None:
    """Fail the running test if there is a fault; skip it if another test has reported it.

    No known failure excuses it: nothing is judged.
    """
    reported = config.stash.setdefault(_REPORTED, set())
    if fault in reported:
        pytest.skip(f"not run: {fault}")
    if fault:
        reported.add(fault)
        pytest.fail(fault, pytrace=False)


def why_missing(tokenizer: LoadedTokenizer) -> str:
    """Why the model's folder cannot be had; empty if it is there."""
    try:
        _ = tokenizer.folder
    except pytest.fail.Exception as error:
        return str(error)
    return ""


def why_unusable(tokenizer: LoadedTokenizer) -> str:
    """Why nothing can be checked of the model, in one line; empty if it loads. Tried once."""
    if "why_unusable" not in vars(tokenizer):
        vars(tokenizer)["why_unusable"] = why_missing(tokenizer) or _why_unreadable(tokenizer)
    return str(vars(tokenizer)["why_unusable"])


def _why_unreadable(tokenizer: LoadedTokenizer) -> str:
    """Which of the folder's files the libraries cannot read here; empty if they load all."""
    where = f"{tokenizer.key}: {{}} in {tokenizer.folder}"
    fix = repair(tokenizer.key, tokenizer.source)
    try:
        _ = tokenizer.tokenizers
    except BaseException as error:  # a PanicException of the Rust side is no Exception
        reader = f"tokenizers {versions()['tokenizers']} cannot read it ({error_line(error)})"
        return f"{where.format('tokenizer.json')}: {reader}: {fix}"
    try:
        _ = tokenizer.transformers
    except BaseException as error:
        reader = f"transformers {versions()['transformers']} cannot load them ({error_line(error)})"
        return f"{where.format('the files')}: {reader}: {fix}"
    return ""
