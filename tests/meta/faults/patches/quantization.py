"""Faults planted in transformers and bitsandbytes that only a loaded model shows.

Each function changes a library for the rest of the process. The real tests/quantized then runs
on SmolLM2 with two narrow layers, random values and a head of its own, so that a fault takes
seconds; what needs trained values is left to the full model.
"""

import shutil
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.harness.data.registry import registry

KEY = "smollm2"


SMALL = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "tie_word_embeddings": False,
    "initializer_range": 0.3,
}


def shrink_model() -> None:
    """Let the registry's SmolLM2 be a small one for the rest of the process."""
    model = registry()[KEY]
    registry()[KEY] = replace(model, architecture=model.architecture | SMALL, weights={})


def task_changed(**changes: Any) -> None:
    """Another value than the task asks for reaches the quantizer."""
    from transformers import BitsAndBytesConfig

    made = BitsAndBytesConfig.__init__

    def faulty(self: Any, *args: Any, **given: Any) -> None:
        made(self, *args, **given | changes)

    BitsAndBytesConfig.__init__ = faulty


def blocks_of_128() -> None:
    """Blocks as bitsandbytes has them on other devices."""
    from bitsandbytes.nn import Params4bit

    quantize = Params4bit._quantize

    def faulty(self: Any, device: Any) -> Any:
        self.blocksize = 128
        return quantize(self, device)

    Params4bit._quantize = faulty


def checkpoint_changed(drop: str = "", add: str = "") -> None:
    """Load a checkpoint in which a tensor is missing, or one too many."""
    import torch

    weights: Any = import_module("tests.harness.sources.weights")
    made = weights.dummy

    def faulty(model: Any, device: str, folder: Path, progress: Any) -> Path:
        from safetensors.torch import load_file, save_file

        source = made(model, device, folder, progress)
        harmed = Path(shutil.copytree(source, tempfile.mkdtemp(), dirs_exist_ok=True))
        tensors = load_file(harmed / "model.safetensors")
        tensors.pop(drop, None)
        tensors |= {add: torch.zeros(4)} if add else {}
        save_file(tensors, harmed / "model.safetensors", metadata={"format": "pt"})
        return harmed

    weights.dummy = faulty


def quantizing_is_random() -> None:
    """A kernel that rounds otherwise each time."""
    from bitsandbytes import functional

    right = functional.quantize_4bit

    def wrong(values: Any, *args: Any, **given: Any) -> Any:
        import torch

        return right(values + torch.randn_like(values) * 0.02, *args, **given)

    functional.quantize_4bit = wrong


def saved_otherwise() -> None:
    """A saved checkpoint with one bit changed, in the middle of its weights."""
    from transformers import PreTrainedModel

    save = PreTrainedModel.save_pretrained

    def faulty(self: Any, folder: Any, *args: Any, **given: Any) -> None:
        save(self, folder, *args, **given)
        for path in Path(folder).glob("*.safetensors"):
            content = path.read_bytes()
            middle = len(content) // 2
            path.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )

    PreTrainedModel.save_pretrained = faulty
