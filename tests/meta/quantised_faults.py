"""Faults planted in transformers and bitsandbytes that only a loaded model shows.

Each function changes a library for the rest of the process. The real tests/quantized then runs
on SmolLM2 with two narrow layers, random values and a head of its own, so that a fault takes
seconds; what needs trained values is left to the full model.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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


def double_quantisation_off() -> None:
    task_changed(bnb_4bit_use_double_quant=False)


def fp4() -> None:
    task_changed(bnb_4bit_quant_type="fp4")


def compute_dtype() -> None:
    task_changed(bnb_4bit_compute_dtype="float16")


def k_proj_left_out() -> None:
    task_changed(llm_int8_skip_modules=["lm_head", "model.layers.1.self_attn.k_proj"])


def head_quantised() -> None:
    task_changed(llm_int8_skip_modules=["no such layer"])


def eight_bits() -> None:
    """load_in_4bit is read as load_in_8bit."""
    task_changed(load_in_4bit=False, load_in_8bit=True)


def blocks_of_128() -> None:
    """bitsandbytes' own default of other devices."""
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


def checkpoint_changed(change: Callable[[dict[str, Any]], None]) -> None:
    """Load a checkpoint whose tensors were changed on disk."""
    from tests.harness import weights

    made = weights.dummy

    def faulty(model: Any, device: str, folder: Path, progress: Any) -> Path:
        import shutil
        import tempfile

        from safetensors.torch import load_file, save_file

        harmed = Path(
            shutil.copytree(
                made(model, device, folder, progress), tempfile.mkdtemp(), dirs_exist_ok=True
            )
        )
        path = harmed / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})
        return harmed

    weights.dummy = faulty


def norm_missing() -> None:
    checkpoint_changed(lambda tensors: tensors.pop("model.norm.weight"))


def tensor_too_many() -> None:
    import torch

    checkpoint_changed(lambda it: it.update({"model.layers.0.extra.weight": torch.zeros(4)}))


def tensor_of_another_shape() -> None:
    import torch

    checkpoint_changed(lambda it: it.update({"model.norm.weight": torch.ones(64)}))


def quantising_is_random() -> None:
    """A kernel that rounds otherwise each time."""
    from bitsandbytes import functional

    right = functional.quantize_4bit

    def wrong(values: Any, *args: Any, **given: Any) -> Any:
        import torch

        return right(values + torch.randn_like(values) * 0.02, *args, **given)

    functional.quantize_4bit = wrong


def saved_otherwise() -> None:
    """A saved checkpoint whose last byte is another."""
    from transformers import PreTrainedModel

    save = PreTrainedModel.save_pretrained

    def faulty(self: Any, folder: Any, *args: Any, **given: Any) -> None:
        save(self, folder, *args, **given)
        for path in Path(folder).glob("*.safetensors"):
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    PreTrainedModel.save_pretrained = faulty


def forward_changed(change: Callable[[dict[str, Any]], None], noise: float = 0.0) -> None:
    """Change what the model's forward is given, or add noise to its logits."""
    import torch
    from transformers import LlamaForCausalLM

    forward = LlamaForCausalLM.forward

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        change(given)
        output = forward(self, *args, **given)
        if noise:
            output.logits += noise * torch.rand_like(output.logits)
        return output

    LlamaForCausalLM.forward = faulty


def logits_are_random() -> None:
    """A kernel that is not repeatable."""
    forward_changed(lambda given: None, noise=0.01)


def mask_not_honoured() -> None:
    """The attention mask does not reach the layers: pads are read."""
    forward_changed(lambda given: given.update(attention_mask=None))


def generate_changed(**changes: Any) -> None:
    """generate with arguments that nobody gave."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        return right(self, *args, **given | changes)

    GenerationMixin.generate = faulty


def answer_changed(change: Callable[[Any], Any]) -> None:
    """Another output of generate."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        return change(right(self, *args, **given))

    GenerationMixin.generate = faulty


def sampling_switched_on() -> None:
    generate_changed(do_sample=True)


def penalty_by_default() -> None:
    generate_changed(repetition_penalty=1.3)


def five_tokens() -> None:
    generate_changed(max_new_tokens=5)


def limit_of_time() -> None:
    generate_changed(max_time=60.0)


def limit_of_length() -> None:
    """An implicit max_length beside the budget."""
    generate_changed(max_length=400)


def pad_of_another_token() -> None:
    generate_changed(pad_token_id=0)


def two_rows() -> None:
    generate_changed(num_return_sequences=2, do_sample=True)


def eos_never() -> None:
    generate_changed(eos_token_id=None)


def prompt_cut_off() -> None:
    """Only the new tokens come back, as pipelines do."""
    answer_changed(lambda output: output[:, 1:])


def mask_dropped() -> None:
    """generate makes a mask of its own, of ones."""
    generate_changed(attention_mask=None)


def seed_inside() -> None:
    """generate seeds itself: every seed gives the same answer."""
    from transformers import GenerationMixin, set_seed

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        set_seed(0)
        return right(self, *args, **given)

    GenerationMixin.generate = faulty


def seed_lost() -> None:
    """generate draws from a source that no seed reaches."""
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
