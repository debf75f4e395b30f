"""Faults in the arithmetic of transformers' models, as upgrades brought or could bring them."""

from copy import copy
from importlib import import_module
from typing import Any

from .places import Function, change_result, replace


def code_of(family: str) -> Any:
    """The module of a family's models."""
    return import_module(f"transformers.models.{family}.modeling_{family}")


def class_of(family: str, name: str) -> Any:
    """The class of a part of a family's models: of `Attention` LlamaAttention."""
    prefix = {"llama": "Llama", "phi3": "Phi3", "qwen2": "Qwen2", "starcoder2": "Starcoder2"}
    return getattr(code_of(family), f"{prefix[family]}{name}")


def rotary_settings(family: str = "llama", **settings: Any) -> None:
    """Rotary tables of other settings, as when a version reads them from another field."""

    def make(right: Function) -> Function:
        def faulty(self: Any, config: Any, *args: Any, **given: Any) -> None:
            changed = copy(config)
            changed.rope_parameters = {**config.rope_parameters, **settings}
            right(self, changed, *args, **given)

        return faulty

    replace(class_of(family, "RotaryEmbedding"), "__init__", make)


def positions(factor: int = 1, shift: int = 0, later: int = 0, dtype: str = "int64") -> None:
    """Positions that are counted in another way; `later` shifts those of single tokens."""
    import torch

    def make(right: Function) -> Function:
        def faulty(self: Any, hidden: Any, position_ids: Any) -> Any:
            moved = position_ids * factor + shift
            if position_ids.shape[-1] == 1:
                moved = moved + later
            return right(self, hidden, moved.to(getattr(torch, dtype)))

        return faulty

    replace(class_of("llama", "RotaryEmbedding"), "forward", make)


def setting_of(family: str, part: str, name: str, factor: float = 1, value: Any = None) -> None:
    """A constant of a part that is another: scaled by a factor, or this value."""

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any, **given: Any) -> None:
            right(self, *args, **given)
            setattr(self, name, getattr(self, name) * factor if value is None else value)

        return faulty

    replace(class_of(family, part), "__init__", make)


def result_scaled(family: str, part: str, factor: float) -> None:
    """A part whose result is too large."""
    change_result(class_of(family, part), "forward", lambda result: result * factor)


def activation(family: str, name: str, field: str) -> None:
    """Another activation in the MLP."""
    from transformers.activations import ACT2FN

    setting_of(family, "MLP", field, value=ACT2FN[name])


def mlp_halves_exchanged() -> None:
    """Gate and up, which are one weight, taken for each other."""

    def make(right: Function) -> Function:
        def faulty(self: Any, hidden: Any) -> Any:
            up, gate = self.gate_up_proj(hidden).chunk(2, dim=-1)
            return self.down_proj(up * self.activation_fn(gate))

        return faulty

    replace(class_of("phi3", "MLP"), "forward", make)


def gate_and_up_exchanged() -> None:
    """The activation on the other product."""

    def make(right: Function) -> Function:
        def faulty(self: Any, hidden: Any) -> Any:
            return self.down_proj(self.gate_proj(hidden) * self.act_fn(self.up_proj(hidden)))

        return faulty

    replace(class_of("llama", "MLP"), "forward", make)


def biases_lost(family: str, names: tuple[str, ...]) -> None:
    """Projections of attention without their biases."""

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any, **given: Any) -> None:
            right(self, *args, **given)
            for name in names:
                getattr(self, name).bias = None

        return faulty

    replace(class_of(family, "Attention"), "__init__", make)


def layer_skipped(number: int) -> None:
    """One layer that returns what it was given."""

    def make(right: Function) -> Function:
        def faulty(self: Any, hidden: Any, *args: Any, **given: Any) -> Any:
            if self.self_attn.layer_idx == number:
                return hidden
            return right(self, hidden, *args, **given)

        return faulty

    replace(class_of("llama", "DecoderLayer"), "forward", make)


def layers_dropped(count: int) -> None:
    """A model that stops before its last layers."""

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any, **given: Any) -> Any:
            layers = self.layers
            self.layers = layers[:-count]
            try:
                return right(self, *args, **given)
            finally:
                self.layers = layers

        return faulty

    replace(class_of("llama", "Model"), "forward", make)


def layer_wired(how: str) -> None:
    """A layer whose parts are joined in another way: see the branches."""

    def make(right: Function) -> Function:
        def faulty(self: Any, hidden: Any, *args: Any, **given: Any) -> Any:
            given.pop("use_cache", None)
            if how == "norm_after":
                attended, _ = self.self_attn(hidden, *args, **given)
                hidden = self.input_layernorm(hidden + attended)
                return self.post_attention_layernorm(hidden + self.mlp(hidden))
            attended, _ = self.self_attn(self.input_layernorm(hidden), *args, **given)
            if how == "sum_in_half_precision":
                middle = (hidden.half() + attended.half()).to(hidden.dtype)
            else:
                middle = hidden + attended
            added = self.mlp(self.post_attention_layernorm(middle))
            return added if how == "residual_lost" else middle + added

        return faulty

    replace(class_of("llama", "DecoderLayer"), "forward", make)


def key_heads_tiled() -> None:
    """Key heads in the order 0 1 0 1 for queries in the order 0 0 1 1."""
    replace(
        code_of("llama"),
        "repeat_kv",
        lambda right: lambda states, count: states.repeat(1, count, 1, 1),
    )


def rotary_pairs_of_neighbours() -> None:
    """Pairs as other checkpoints order them: neighbours, not halves."""
    import torch

    def turned(states: Any, cosine: Any, sine: Any) -> Any:
        half = cosine.shape[-1] // 2
        cosine, sine = (table[..., :half].repeat_interleave(2, -1) for table in (cosine, sine))
        other = torch.stack((-states[..., 1::2], states[..., 0::2]), dim=-1).flatten(-2)
        return states * cosine + other * sine

    def make(right: Function) -> Function:
        def faulty(q: Any, k: Any, cos: Any, sin: Any, unsqueeze_dim: int = 1) -> Any:
            cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
            return turned(q, cos, sin), turned(k, cos, sin)

        return faulty

    replace(code_of("llama"), "apply_rotary_pos_emb", make)


def softmax_in_bf16() -> None:
    """Attention weights computed in bf16, whatever the model's dtype."""
    import torch

    code = code_of("llama")

    def make(right: Function) -> Function:
        def faulty(
            module: Any,
            query: Any,
            key: Any,
            value: Any,
            attention_mask: Any,
            scaling: float,
            **given: Any,
        ) -> Any:
            keys = code.repeat_kv(key, module.num_key_value_groups)
            values = code.repeat_kv(value, module.num_key_value_groups)
            scores = query @ keys.transpose(2, 3) * scaling
            if attention_mask is not None:
                scores = scores + attention_mask
            weights = scores.to(torch.bfloat16).softmax(-1).to(query.dtype)
            return (weights @ values).transpose(1, 2).contiguous(), weights

        return faulty

    replace(code, "eager_attention_forward", make)


def logits_changed(factor: float = 1, cap: float = 0) -> None:
    """Logits scaled or capped behind the head."""

    def change(output: Any) -> Any:
        logits = output.logits * factor
        output.logits = (logits / cap).tanh() * cap if cap else logits
        return output

    change_result(class_of("llama", "ForCausalLM"), "forward", change)


def forward_of_the_object() -> None:
    """A norm with a forward of its own that computes the same, as `kernels` puts them in."""
    from .quantization import after_model_load

    def put(model: Any) -> None:
        norm = model.model.norm
        norm.forward = lambda hidden: type(norm).forward(norm, hidden)

    after_model_load(put)


def training_mode() -> None:
    """A loaded model that was left in training mode: dropout is on."""
    from .quantization import after_model_load

    after_model_load(lambda model: model.train())


def head_untied() -> None:
    """A head of its own where it should be the embedding."""
    import torch

    from .quantization import after_model_load

    def untie(model: Any) -> None:
        weight = model.lm_head.weight
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(weight))

    after_model_load(untie)


def embedding_scaled() -> None:
    """An embedding times the root of its width, as Gemma has it."""
    import torch

    def make(right: Function) -> Function:
        return lambda self, ids: right(self, ids) * self.embedding_dim**0.5

    replace(torch.nn.Embedding, "forward", make)
