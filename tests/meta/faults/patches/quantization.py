"""Faults in the model that is made of a checkpoint, and in quantizing it.

The real tests/quantized then runs on SmolLM2 with two narrow layers, random values and a head of
its own, so that a fault takes seconds; what needs trained values is left to the full model.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.harness.data.registry import registry

from .places import Function, change_result, set_existing
from .places import replace as replace_place

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

    def make(right: Function) -> Function:
        return lambda *args, **given: right(*args, **given | changes)

    replace_place(BitsAndBytesConfig, "__init__", make, tuple(changes))


def blocks_of_128() -> None:
    """Blocks as bitsandbytes has them on other devices."""
    from bitsandbytes.nn import Params4bit

    def make(right: Function) -> Function:
        def faulty(self: Any, device: Any) -> Any:
            set_existing(self, "blocksize", 128)
            return right(self, device)

        return faulty

    replace_place(Params4bit, "_quantize", make)


def checkpoint_changed(drop: str = "", add: str = "", nan: str = "") -> None:
    """Load a checkpoint in which a tensor is missing, one too many, or no number."""
    import torch

    weights: Any = import_module("tests.harness.sources.weights")

    def harm(source: Path) -> Path:
        from safetensors.torch import load_file, save_file

        harmed = Path(shutil.copytree(source, tempfile.mkdtemp(), dirs_exist_ok=True))
        tensors = load_file(harmed / "model.safetensors")
        tensors.pop(drop, None)
        tensors |= {add: torch.zeros(4)} if add else {}
        tensors |= {nan: torch.full_like(tensors[nan], float("nan"))} if nan else {}
        save_file(tensors, harmed / "model.safetensors", metadata={"format": "pt"})
        return harmed

    change_result(weights, "dummy", harm)


def quantizing_is_random() -> None:
    """A kernel that rounds otherwise each time."""
    from bitsandbytes import functional

    def make(right: Function) -> Function:
        def faulty(values: Any, *args: Any, **given: Any) -> Any:
            import torch

            return right(values + torch.randn_like(values) * 0.02, *args, **given)

        return faulty

    replace_place(functional, "quantize_4bit", make)


def saved_otherwise() -> None:
    """A saved checkpoint with one bit changed, in the middle of its weights."""
    from transformers import PreTrainedModel

    def make(right: Function) -> Function:
        def faulty(self: Any, folder: Any, *args: Any, **given: Any) -> None:
            right(self, folder, *args, **given)
            for path in Path(folder).glob("*.safetensors"):
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 1
                path.write_bytes(content)

        return faulty

    replace_place(PreTrainedModel, "save_pretrained", make)


def weight_changed(name: str, to_nan: bool = False) -> None:
    """Flip a bit of a loaded weight, or let one of its values be no number."""
    import torch

    loading: Any = import_module("tests.harness.model.loading")

    def harm(result: tuple[Any, Any]) -> tuple[Any, Any]:
        tensor = result[0].get_parameter(name).data.view(-1)
        if to_nan:
            tensor[7] = float("nan")
        else:
            bits = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
            bits[7:8] ^= 1
        return result

    change_result(loading, "from_pretrained", harm)


def after_model_load(change: Callable[[Any], None]) -> None:
    """Change every model that `AutoModelForCausalLM` loads from now on."""
    from transformers import AutoModelForCausalLM

    def changed(loaded: Any) -> Any:
        change(loaded[0] if isinstance(loaded, tuple) else loaded)
        return loaded

    change_result(AutoModelForCausalLM, "from_pretrained", changed)


def embeddings_in_fp32() -> None:
    """Some modules are kept in full precision."""
    after_model_load(lambda model: model.model.embed_tokens.float())


def row_added() -> None:
    """Room for a pad token that nobody asked for."""
    after_model_load(
        lambda model: model.resize_token_embeddings(
            model.config.vocab_size + 1, mean_resizing=False
        )
    )


def buffer_added() -> None:
    """A buffer that another version registers."""
    import torch

    after_model_load(lambda model: model.model.register_buffer("mask", torch.zeros(64, 64)))


def weights_of_another_checkpoint() -> None:
    """One layer's weights are not those of the file."""

    def roll(model: Any) -> None:
        weight = model.model.layers[1].mlp.up_proj.weight
        weight.data = weight.data.flip(0)

    after_model_load(roll)


def model_kept_alive() -> None:
    """A cache of the library that holds the model for ever."""
    kept: list[Any] = []
    after_model_load(kept.append)


def load_says_something() -> None:
    """A warning of a new version while loading."""
    from transformers.utils import logging

    say = logging.get_logger("transformers.modeling_utils").warning
    after_model_load(lambda model: say("this way of loading is deprecated"))


def code_from_the_hub() -> None:
    """A module of a repository was imported while loading."""
    after_model_load(
        lambda _: sys.modules.update({"transformers_modules.planted": ModuleType("planted")})
    )


def head_rolled() -> None:
    """A head whose rows stand for other tokens."""

    def roll(model: Any) -> None:
        model.lm_head.weight.data = model.lm_head.weight.data.roll(100, 0)

    after_model_load(roll)
