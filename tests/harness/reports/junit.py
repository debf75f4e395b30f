"""What JUnit files say of a run as a whole: versions, sources, weights and device."""

import sys
from typing import Any

import pytest

from tests.harness.device import has_cuda
from tests.harness.loading import KEYS, SOURCES, WEIGHTS
from tests.harness.models import registry
from tests.harness.options import versions
from tests.harness.secrets import scrub
from tests.harness.weights import in_force


def properties(config: pytest.Config) -> dict[str, str]:
    """Values by name, for the models of this run."""
    keys, sources = config.stash[KEYS], config.stash[SOURCES]
    found = {f"version {name}": number for name, number in versions().items()}
    found |= {f"source {key}": sources.of(key) for key in keys}
    for model in (registry()[key] for key in keys if registry()[key].quantized_on):
        found[f"weights {model.key}"] = in_force(model, config.stash[WEIGHTS][model.key])
    return found | {"device": device()}


def device() -> str:
    """The CUDA device's name, or that there is none."""
    if not has_cuda():
        return "no CUDA device"
    return str(sys.modules["torch"].cuda.get_device_name())


def writer(config: pytest.Config) -> Any:
    """The plugin that writes `--junitxml`, None without that option.

    It is known by the method that `record_testsuite_property` wraps: that fixture itself reaches
    no file under xdist, and the plugin's key is private.
    """
    plugins = config.pluginmanager.list_name_plugin()  # get_plugins() refuses unhashable ones
    return next((it for _, it in plugins if hasattr(it, "add_global_property")), None)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Add the properties before the file is written."""
    if file := writer(session.config):
        for name, value in properties(session.config).items():
            file.add_global_property(name, scrub(value))
