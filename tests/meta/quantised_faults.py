"""Faults planted in transformers and bitsandbytes that only a loaded model shows.

Each function changes a library for the rest of the process. The real tests/quantized then runs
on SmolLM2 with two narrow layers, random values and a head of its own, so that a fault takes
seconds; what needs trained values is left to the full model.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.harness.models import registry

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
    """Another value than the task asks for reaches the quantiser."""
    from transformers import BitsAndBytesConfig

    made = BitsAndBytesConfig.__init__

    def faulty(self: Any, *args: Any, **given: Any) -> None:
        made(self, *args, **given | changes)

    BitsAndBytesConfig.__init__ = faulty


def blocks_of_128() -> None:
    """Blocks as bitsandbytes has them on other devices."""
    from bitsandbytes import functional

    right = functional.quantize_4bit

    def wrong(*args: Any, **given: Any) -> Any:
        return right(*args, **given | {"blocksize": 128})

    functional.quantize_4bit = wrong


def after_model_load(change: Callable[[Any], None]) -> None:
    """Change every model that `AutoModelForCausalLM` loads from now on."""
    from transformers import AutoModelForCausalLM

    load = AutoModelForCausalLM.from_pretrained

    def faulty(*args: Any, **given: Any) -> Any:
        loaded = load(*args, **given)
        change(loaded[0] if isinstance(loaded, tuple) else loaded)
        return loaded

    AutoModelForCausalLM.from_pretrained = faulty


def embeddings_in_fp32() -> None:
    """Some modules are kept in full precision."""
    after_model_load(lambda model: model.model.embed_tokens.float())


def row_added() -> None:
    """Room for a pad token that nobody asked for."""
    after_model_load(
        lambda it: it.resize_token_embeddings(it.config.vocab_size + 1, mean_resizing=False)
    )


def buffer_added() -> None:
    """A buffer that another version registers."""
    import torch

    after_model_load(lambda it: it.model.register_buffer("mask", torch.zeros(64, 64)))


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


def checkpoint_changed(drop: str = "", add: str = "") -> None:
    """Load a checkpoint in which a tensor is missing, or one too many."""
    import torch

    from tests.harness import weights

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


def quantising_is_random() -> None:
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


def forward_changed(noise: float = 0.0, unset: str = "") -> None:
    """Change what the model's forward is given, or add noise to its logits."""
    import torch
    from transformers import LlamaForCausalLM

    forward = LlamaForCausalLM.forward

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        output = forward(self, *args, **given | ({unset: None} if unset else {}))
        if noise:
            output.logits += noise * torch.rand_like(output.logits)
        return output

    LlamaForCausalLM.forward = faulty


def generate_changed(unset: str = "", **changes: Any) -> None:
    """A call of generate with arguments that nobody gave."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        return right(self, *args, **given | changes | ({unset: None} if unset else {}))

    GenerationMixin.generate = faulty


def answer_changed(change: Callable[[Any], Any]) -> None:
    """Another output of generate."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        return change(right(self, *args, **given))

    GenerationMixin.generate = faulty


def prompt_cut_off() -> None:
    """Only the new tokens come back, as pipelines do."""
    answer_changed(lambda output: output[:, 1:])


def seed_inside() -> None:
    """A generate that seeds itself: every seed gives the same answer."""
    from transformers import GenerationMixin, set_seed

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        set_seed(0)
        return right(self, *args, **given)

    GenerationMixin.generate = faulty


def seed_lost() -> None:
    """A generate that draws from a source that no seed reaches."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        import torch

        torch.seed()
        return right(self, *args, **given)

    GenerationMixin.generate = faulty


def generate_says_something() -> None:
    """A warning of a new version on every call."""
    from transformers.utils import logging

    say = logging.get_logger("transformers.generation").warning

    def said(output: Any) -> Any:
        say("this way of calling is deprecated")
        return output

    answer_changed(said)


def rows_of_a_greedy_call_not_checked() -> None:
    """num_return_sequences of a greedy call is passed over."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        if not given.get("do_sample"):
            given.pop("num_return_sequences", None)
        return right(self, *args, **given)

    GenerationMixin.generate = faulty


def prompt_echoed() -> None:
    """The reply is decoded with the question in front."""
    from tests.harness import generation

    decoded = generation.decoded
    question = "How much does this cost to the nearest dollar?"
    generation.decoded = lambda *args: question + decoded(*args)


def code_from_the_hub() -> None:
    """A module of a repository was imported while loading."""
    after_model_load(
        lambda _: sys.modules.update({"transformers_modules.planted": ModuleType("planted")})
    )
