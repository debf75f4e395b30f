"""An independent forward pass in float32, part by part: plain torch, no model library.

Every function takes float32 and returns float32. `tokens` are the positions of one sequence
without pads. Weights come by their names in the published checkpoints (see `weights`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .spec import ForwardSpec, Rotary
from .weights import Weights

Tensor = Any  # torch is imported when a model is loaded, not before

ROWS = 256  # queries at a time, so that scores of long prompts fit into memory


def norm(spec: ForwardSpec, weights: Weights, name: str, hidden: Tensor) -> Tensor:
    """RMSNorm (arXiv 1910.07467) or LayerNorm (1607.06450); hidden and result (tokens, hidden)."""
    import torch

    if spec.norm == "layer":
        hidden = hidden - hidden.mean(-1, keepdim=True)
    scaled = hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + spec.epsilon)
    scaled = scaled * weights.tensor(f"{name}.weight")
    return scaled + weights.tensor(f"{name}.bias") if spec.norm == "layer" else scaled


def rotary_tables(rotary: Rotary, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position and pair (arXiv 2104.09864), computed in float64.

    Both are (tokens, rotated dimensions): a checkpoint of this kind pairs the first half of a
    head's dimensions with the second, so each angle stands there twice.
    """
    import torch

    exponents = torch.arange(0, rotary.size, 2, dtype=torch.float64, device=positions.device)
    frequencies = rotary.base ** (-exponents / rotary.size)
    if rotary.scaling is not None:
        frequencies = _scaled(frequencies, **rotary.scaling)
    angles = positions.double()[:, None] * frequencies
    both = torch.cat((angles, angles), dim=-1)
    return both.cos().float(), both.sin().float()


def _scaled(
    frequencies: Tensor,
    factor: float,
    low_freq_factor: float,
    high_freq_factor: float,
    original_max_position_embeddings: int,
    rope_type: str = "llama3",
) -> Tensor:
    """Llama 3.1's frequencies: slow ones divided by `factor`, fast ones kept, blended between.

    Source: `apply_scaling` of Meta's published llama-models.
    """
    turns = original_max_position_embeddings * frequencies / (2 * math.pi)
    blend = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor)
    blend = blend.clamp(0, 1)
    return frequencies * (blend + (1 - blend) / factor)


def rotated(states: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """States (heads, tokens, head size) turned by their positions' angles."""
    import torch

    cosine, sine = tables
    size = cosine.shape[-1]
    turned, kept = states[..., :size], states[..., size:]
    first, second = turned.chunk(2, dim=-1)
    turned = turned * cosine + torch.cat((-second, first), dim=-1) * sine
    return torch.cat((turned, kept), dim=-1)


@dataclass(frozen=True)
class Variant:
    """How attention is computed; other values than these are the mistakes `tell_tales` tries."""

    scale: float | None = None  # None: 1 / sqrt(head size)
    ahead: int | None = 0  # how many tokens after itself a token sees; None: all
    window: int | None = -1  # -1: the architecture's
    tiled_keys: bool = False  # key heads as 0 1 0 1, not 0 0 1 1
    tiled_values: bool = False
    cap: float | None = None  # of scores, by tanh
    turn: Callable[[Tensor, tuple[Tensor, Tensor]], Tensor] = rotated


def attention(
    spec: ForwardSpec,
    weights: Weights,
    name: str,
    hidden: Tensor,
    tables: tuple[Tensor, Tensor],
    variant: Variant | None = None,
) -> Tensor:
    """Grouped-query attention (arXiv 2305.13245); hidden and result (tokens, hidden).

    With a window w a token sees itself and the w - 1 before it (arXiv 2310.06825, as llama.cpp
    and vLLM read it).
    """
    import torch

    variant = variant or Variant()
    queries, keys, values = _queries_keys_values(spec, weights, name, hidden)
    queries, keys = variant.turn(queries, tables), variant.turn(keys, tables)
    groups = spec.heads // spec.key_heads
    keys, values = (
        states.repeat(groups, 1, 1) if tiled else states.repeat_interleave(groups, 0)
        for states, tiled in ((keys, variant.tiled_keys), (values, variant.tiled_values))
    )
    scale = spec.scale if variant.scale is None else variant.scale
    window = spec.window if variant.window == -1 else variant.window
    places = torch.arange(hidden.shape[0], device=hidden.device)
    pieces = []
    for rows in places.split(ROWS):
        scores = queries[:, rows] @ keys.transpose(1, 2) * scale
        if variant.cap is not None:
            scores = (scores / variant.cap).tanh() * variant.cap
        distance = rows[:, None] - places
        unseen = torch.zeros_like(distance, dtype=torch.bool)
        if variant.ahead is not None:
            unseen |= distance < -variant.ahead
        if window is not None:
            unseen |= distance >= window
        scores.masked_fill_(unseen, -math.inf)
        pieces.append((scores.softmax(-1) @ values).transpose(0, 1).flatten(1))
    return _linear(spec, weights, name, "o_proj", torch.cat(pieces))


def _queries_keys_values(
    spec: ForwardSpec, weights: Weights, name: str, hidden: Tensor
) -> list[Tensor]:
    """Each (heads, tokens, head size)."""
    query, key = spec.heads * spec.head_size, spec.key_heads * spec.head_size
    if spec.fused:
        joined = _linear(spec, weights, name, "qkv_proj", hidden)
        parts = joined.split((query, key, key), dim=-1)
    else:
        parts = [_linear(spec, weights, name, f"{part}_proj", hidden) for part in "qkv"]
    return [part.unflatten(-1, (-1, spec.head_size)).transpose(0, 1) for part in parts]


def mlp(
    spec: ForwardSpec,
    weights: Weights,
    name: str,
    hidden: Tensor,
    activation: str | None = None,
) -> Tensor:
    """SwiGLU (arXiv 2002.05202) or an MLP with GELU; hidden and result (tokens, hidden)."""
    active = ACTIVATIONS[activation or spec.activation]
    if not spec.gated:
        return _linear(
            spec, weights, name, "c_proj", active(_linear(spec, weights, name, "c_fc", hidden))
        )
    if spec.fused:
        gate, up = _linear(spec, weights, name, "gate_up_proj", hidden).chunk(2, dim=-1)
    else:
        gate, up = (_linear(spec, weights, name, f"{part}_proj", hidden) for part in ("gate", "up"))
    return _linear(spec, weights, name, "down_proj", active(gate) * up)


def _silu(values: Tensor) -> Tensor:
    return values * values.sigmoid()


def _gelu(values: Tensor) -> Tensor:
    """Values times the normal distribution's share below them (arXiv 1606.08415)."""
    return values * (1 + (values / math.sqrt(2)).erf()) / 2


def _gelu_tanh(values: Tensor) -> Tensor:
    """The approximation of the same paper."""
    inner = math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)
    return values * (1 + inner.tanh()) / 2


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": _silu,
    "gelu": _gelu,
    "gelu_pytorch_tanh": _gelu_tanh,
    "quick_gelu": lambda values: values * (1.702 * values).sigmoid(),
    "relu": lambda values: values.clamp(min=0),
}


def _linear(spec: ForwardSpec, weights: Weights, name: str, part: str, hidden: Tensor) -> Tensor:
    product = weights.product(f"{name}.{part}.weight", hidden)
    return product + weights.tensor(f"{name}.{part}.bias") if part in spec.biased else product


def embedding(weights: Weights, ids: Tensor) -> Tensor:
    """The rows of the embedding: ids (tokens,) to (tokens, hidden)."""
    return weights.tensor("model.embed_tokens.weight")[ids]


def head(spec: ForwardSpec, weights: Weights, hidden: Tensor) -> Tensor:
    """Logits (tokens, vocabulary); a tied head is the embedding."""
    name = "model.embed_tokens.weight" if spec.tied else "lm_head.weight"
    return weights.product(name, hidden)


def forward(spec: ForwardSpec, weights: Weights, ids: Tensor) -> Tensor:
    """The whole forward pass of one sequence: ids (tokens,) to logits (tokens, vocabulary)."""
    import torch

    tables = rotary_tables(spec.rotary, torch.arange(len(ids), device=ids.device))
    hidden = embedding(weights, ids)
    for number in range(spec.layers):
        layer = f"model.layers.{number}"
        normed = norm(spec, weights, f"{layer}.input_layernorm", hidden)
        hidden = hidden + attention(spec, weights, f"{layer}.self_attn", normed, tables)
        normed = norm(spec, weights, f"{layer}.post_attention_layernorm", hidden)
        hidden = hidden + mlp(spec, weights, f"{layer}.mlp", normed)
    return head(spec, weights, norm(spec, weights, "model.norm", hidden))
