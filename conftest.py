"""Switches and plugins; everything else is in tests/harness."""

import gc
import os
import sys

import pytest

# Until tests run, all that is made is kept: the collector would look at it over and over.
gc.disable()

# Before any import of transformers: the tests never use the network, nor the saved login. The
# user's own settings are kept for `--source hub`, whose download runs in a process of its own.
for name, value in {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_TOKEN_PATH": os.devnull,
}.items():
    os.environ.setdefault(f"MODEL_CONFORMANCE_{name}", os.environ.get(name, ""))
    os.environ[name] = value
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Threads that spin while they wait make a small model sixty times slower on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

pytest_plugins = (
    "tests.harness.plugins.options",
    "tests.harness.plugins.redaction",
    "tests.harness.plugins.results",
    "tests.harness.plugins.models",
    "tests.harness.plugins.engines",
    "tests.harness.plugins.known_failures",
    "tests.harness.snapshots.session",
    "tests.harness.latency.session",
    "tests.harness.gate.session",
    "tests.harness.plugins.summary",
    "tests.harness.reports.session",
    "tests.harness.reports.github",
    "tests.harness.finish",
)


@pytest.hookimpl(tryfirst=True)  # before a plugin misses another
def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run without one of the plugins that make the suite: it would check less."""
    if sys.flags.optimize:
        raise pytest.UsageError("assertions are off: unset PYTHONOPTIMIZE, and leave out -O")
    for name in (*pytest_plugins, "syrupy"):
        if not config.pluginmanager.has_plugin(name):
            raise pytest.UsageError(
                f"the plugin {name} is not loaded: leave out -p no:{name}, and unset "
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
            )


def pytest_collection_finish() -> None:
    """From here on there is garbage; what was imported and collected is none."""
    gc.freeze()
    gc.enable()
