"""The sweep with two narrow layers in SmolLM2's place: `python -m tests.meta.support.tiny_sweep`.

With KILLED_AFTER=N in the environment the process kills itself once it has written N parts.
"""

import os
import signal
import sys
from dataclasses import replace

import pytest

from tests.harness.data.registry import Model, registry
from tests.tools import models
from tests.tools.sweep import run
from tests.tools.sweep.__main__ import main
from tests.tools.sweep.store import Store

SIZES = {"hidden_size": 96, "intermediate_size": 128, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 3, "num_key_value_heads": 3}


def tiny_registry() -> dict[str, Model]:
    """SmolLM2 alone, with a tiny architecture and its own tokenizer."""
    model = registry()["smollm2"]
    return {"smollm2": replace(model, architecture=model.architecture | SIZES | HEADS, weights={})}


class KilledStore(Store):
    """Ends the process without notice."""

    def flush(self) -> None:
        """Write a part, or die after the last one."""
        super().flush()
        if len(self.parts) >= int(os.environ["KILLED_AFTER"]):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    patch = pytest.MonkeyPatch()
    patch.setattr(models, "registry", tiny_registry)
    if "KILLED_AFTER" in os.environ:
        patch.setattr(run, "Store", KilledStore)
    sys.exit(main())
