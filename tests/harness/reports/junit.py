"""What JUnit files hold of a run as a whole: versions, sources, weights and device."""

import sys
from typing import Any

import pytest

from ..data.registry import registry
from ..model.device import has_cuda
from ..plugins.tokenizers import KEYS, SOURCES, WEIGHTS
from ..redaction import redact
from ..sources.weights import description
from ..versions import versions


def pytest_sessionstart(session: pytest.Session) -> None:
    """Add the properties: all of them are known when the run begins."""
    if writer := _junit_writer(session.config):
        for name, value in properties(session.config).items():
            writer.add_global_property(name, redact(value))


def properties(config: pytest.Config) -> dict[str, str]:
    """Values by name, such as `version torch` or `weights phi3`, for the models of this run."""
    keys, sources = config.stash[KEYS], config.stash[SOURCES]
    values = {f"version {name}": number for name, number in versions().items()}
    values |= {f"source {key}": sources.of(key) for key in keys}
    for model in (registry()[key] for key in keys if registry()[key].quantized_on):
        values[f"weights {model.key}"] = description(model, config.stash[WEIGHTS][model.key])
    return values | {"device": _device()}


def _device() -> str:
    if not has_cuda():
        return "no CUDA device"
    return str(sys.modules["torch"].cuda.get_device_name())


def _junit_writer(config: pytest.Config) -> Any:
    """The plugin that writes `--junitxml`, None without that option.

    It is recognised by the method that `record_testsuite_property` wraps: that fixture itself
    reaches no file under xdist, and the plugin's key is private.
    """
    plugins = config.pluginmanager.list_name_plugin()  # get_plugins() fails on unhashable ones
    writers = (plugin for _, plugin in plugins if hasattr(plugin, "add_global_property"))
    return next(writers, None)
