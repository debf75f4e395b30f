"""The chosen models' tokenizers, one of each for a session."""

import sys
from functools import cache
from pathlib import Path

import pytest

from ..console import Progress
from ..data.registry import Model, registry
from ..errors import AssetError
from ..redaction import redact
from ..sources.folders import Sources, locate, unavailable_reason
from ..sources.weights import description
from ..tokenizer.loaded import LoadedTokenizer

SOURCES = pytest.StashKey[Sources]()
KEYS = pytest.StashKey[list[str]]()  # of the chosen models
ENDPOINTS = pytest.StashKey[dict[str, str]]()  # the values of --endpoint by model key
GGUFS = pytest.StashKey[dict[str, Path]]()  # the values of --gguf by model key
WEIGHTS = pytest.StashKey[dict[str, str]]()  # the values of --weights by model key
ADAPTERS = pytest.StashKey[dict[str, Path]]()  # the folders of --adapter by model key
_TOKENIZERS = pytest.StashKey[dict[str, LoadedTokenizer]]()


def progress_past_capture(config: pytest.Config) -> Progress:
    """Prints progress where the user sees it, whatever pytest captures, and from workers, too."""

    def say(message: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            # A worker's stdout is pytest-xdist's; its stderr is the user's.
            stream = sys.stderr if hasattr(config, "workerinput") else sys.stdout
            print(f"\n{redact(message)}", end="", file=stream, flush=True)

    return say


def weights_of(config: pytest.Config) -> dict[str, str]:
    """Which weights are meant, by key, of those chosen models that can be loaded."""
    models = [registry()[key] for key in config.stash[KEYS] if registry()[key].quantized_on]
    return {model.key: description(model, config.stash[WEIGHTS][model.key]) for model in models}


def tokenizers_of(config: pytest.Config) -> dict[str, LoadedTokenizer]:
    """The chosen models' tokenizers by key, one object each for the whole session."""
    if _TOKENIZERS not in config.stash:
        sources, keys = config.stash[SOURCES], config.stash[KEYS]

        @cache  # every test fails with an error, but it is tried once
        def prepared() -> dict[str, Path] | AssetError:
            loaded = config.stash[_TOKENIZERS].values()
            chosen = [tokenizer.spec for tokenizer in loaded if not tokenizer.missing_reason]
            try:
                return locate(chosen, sources, progress_past_capture(config))
            except AssetError as error:
                return error

        def folders() -> dict[str, Path]:
            result = prepared()
            if isinstance(result, AssetError):
                pytest.fail(str(result), pytrace=False)
            return result

        def chosen_tokenizer(model: Model) -> LoadedTokenizer:
            source = sources.of(model.key)
            # The ledger counts a model's checks whether or not its files can be had here.
            there = source == "directory" or config.getoption("evidence_update")
            missing = "" if there else unavailable_reason(model, source)
            return LoadedTokenizer(model, source, folders, missing)

        config.stash[_TOKENIZERS] = {key: chosen_tokenizer(registry()[key]) for key in keys}
    return config.stash[_TOKENIZERS]
