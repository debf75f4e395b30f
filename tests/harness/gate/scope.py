"""What a gated run is to prove: folders, models, devices; only options made for it narrow that."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..data.engines import startable
from ..data.registry import registry
from ..files import TESTS
from ..plugins.collection import Cell
from ..plugins.engines import engines_of
from ..plugins.selection import SUITES, places
from ..plugins.tokenizers import KEYS, SOURCES, WEIGHTS, tokenizers_of
from ..text import quote
from .ledger import device_of, key_of

# What `-m` may say under the gate, and the device whose tests are left then.
_DEVICE_OF_MARKS = {"": "", "gpu": "cuda", "not gpu": "cpu"}
_NARROWING = {
    "-k": "keyword",
    "-m": "markexpr",
    "--deselect": "deselect",
    "--ignore": "ignore",
    "--ignore-glob": "ignore_glob",
    "--lf": "lf",
    "--sw": "stepwise",
    "--maxfail": "maxfail",
    "--collect-only": "collectonly",
    "--setup-only": "setuponly",
    "--setup-plan": "setupplan",
}
FOLDERS = (*SUITES, TESTS / "benchmarks")  # what the ledger counts


@dataclass(frozen=True)
class Scope:
    """The part of the ledger that a run is to prove."""

    folders: tuple[str, ...]
    keys: tuple[str, ...]  # of the chosen models, and of those that the registry has lost
    device: str  # cpu or cuda; empty for both
    dummies: frozenset[str]  # keys of models whose weights are random by option
    unavailable: frozenset[str]  # keys of models that no source has
    from_hub: frozenset[str]  # keys of models whose files come from the hub
    unasked: tuple[str, ...]  # how kinds begin of engines that the run does not start

    def is_counted(self, cell: Cell) -> bool:
        """Whether the cell's checks are collected, for all devices."""
        key = key_of(cell.model)
        if cell.file.partition("/")[0] not in self.folders or (key and key not in self.keys):
            return False
        if self.unasked and cell.kind.startswith(self.unasked):
            return False
        if cell.kind == "other":
            return cell.topic in self.keys and cell.topic not in self.unavailable
        if cell.kind == "trained":
            return key not in self.dummies
        if cell.kind == "small_file" and key in self.from_hub:
            files = registry()[key].files
            return cell.topic not in files or files[cell.topic].published
        return True

    def is_planned(self, cell: Cell) -> bool:
        """Whether `-m` leaves the checks of a cell that is counted."""
        return self.device in ("", device_of(cell.model))


def scope_of(config: pytest.Config, ledger: Mapping[Cell, int]) -> Scope:
    """The run's scope, from its options alone."""
    chosen, sources = config.stash[KEYS], config.stash[SOURCES]
    lost = {key_of(cell.model) for cell in ledger} - set(registry())
    tokenizers = tokenizers_of(config)
    return Scope(
        folders=tuple(folder.name for folder in _folders(config)),
        keys=(*chosen, *sorted(lost)),
        device=_DEVICE_OF_MARKS.get(marks(config), ""),
        dummies=frozenset(key for key in chosen if config.stash[WEIGHTS][key] == "dummy"),
        unavailable=frozenset(key for key in chosen if tokenizers[key].missing_reason),
        from_hub=frozenset(key for key in chosen if sources.of(key) == "hub"),
        unasked=tuple(f"{key}_" for key in startable() if key not in engines_of(config)),
    )


def marks(config: pytest.Config) -> str:
    """The expression behind `-m`."""
    return " ".join(str(config.getoption("markexpr") or "").split())


def _folders(config: pytest.Config) -> list[Path]:
    """The folders that the run was asked for, if only in part."""
    if _is_default(config):
        return list(SUITES)  # whatever pytest.ini says
    asked = places(config)
    return [
        folder
        for folder in FOLDERS
        if any(folder.is_relative_to(place) or place.is_relative_to(folder) for place in asked)
    ]


def is_whole(config: pytest.Config, file: str) -> bool:
    """Whether the run was asked for all tests of a file, as far as its arguments say."""
    if config.getoption("lf", False):
        return False
    return _is_default(config) or any(map((TESTS / file).is_relative_to, places(config)))


def _is_default(config: pytest.Config) -> bool:
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def narrowing(config: pytest.Config) -> str:
    """The options of pytest that may have taken checks away; empty if there is none."""
    given = [(name, config.getoption(key, None)) for name, key in _NARROWING.items()]
    parts = [" ".join([name, *_words(value)]) for name, value in given if value]
    if marks(config) in _DEVICE_OF_MARKS:
        parts = [part for part in parts if not part.startswith("-m ")]
    if not _is_default(config):
        asked = zip(config.args, places(config), strict=True)
        parts += [quote(text) for text, place in asked if place.is_file() or "::" in text]
    return ", ".join(parts) + (" (from PYTEST_ADDOPTS)" if os.environ.get("PYTEST_ADDOPTS") else "")


def _words(value: Any) -> list[str]:
    if value is True:
        return []
    return [quote(str(each)) for each in (value if isinstance(value, list) else [value])]
