"""What each part of a loaded model was given and returned, call by call."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

EMBEDDING, ROTARY, FINAL_NORM, HEAD = "embed_tokens", "rotary_emb", "norm", "lm_head"
FIRST_NORM, ATTENTION, SECOND_NORM, MLP = (
    "input_layernorm",
    "self_attn",
    "post_attention_layernorm",
    "mlp",
)
LAYER_PARTS = (FIRST_NORM, ATTENTION, SECOND_NORM, MLP)
OUTPUT = "output"  # of the whole model


@dataclass(frozen=True)
class Call:
    """One call of one part. Tensors are (batch, tokens, width), as the model had them."""

    given: Any  # hidden states; ids of the embedding; positions (batch, tokens) of the tables
    returned: Any  # hidden states; of the tables cosine and sine
    tables: Any = None  # of attention: the cosine and sine that it was given


@dataclass
class Recording:
    """The calls of each part by its name, and the order in which layers were called."""

    calls: dict[str, list[Call]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def given(self, part: str) -> Any:
        """What a part was given over all calls, joined along the tokens."""
        import torch

        return torch.cat([call.given for call in self.calls[part]], dim=1)

    def returned(self, part: str) -> Any:
        """What a part returned over all calls, joined along the tokens."""
        import torch

        return torch.cat([call.returned for call in self.calls[part]], dim=1)


@contextmanager
def recording(model: Any, layers: Sequence[int] | None = None) -> Iterator[Recording]:
    """Record every part of these layers (None: of all) while the model runs."""
    record, base = Recording(), model.model
    numbers = range(len(base.layers)) if layers is None else layers
    outer = {f"model.{name}": getattr(base, name) for name in (EMBEDDING, ROTARY, FINAL_NORM)}
    parts = {**outer, HEAD: model.lm_head, OUTPUT: model}
    for number in numbers:
        layer = base.layers[number]
        parts[f"model.layers.{number}"] = layer
        parts |= {f"model.layers.{number}.{name}": getattr(layer, name) for name in LAYER_PARTS}
    with ExitStack() as stack:
        for name, module in parts.items():
            hook = _keeper(record, name)
            handle = module.register_forward_hook(hook, with_kwargs=True)
            stack.callback(handle.remove)
        yield record


def _keeper(record: Recording, name: str) -> Any:
    kept = record.calls.setdefault(name, [])
    part = name.rpartition(".")[2]

    def keep(module: Any, args: Any, given: dict[str, Any], output: Any) -> None:
        if part == OUTPUT:
            kept.append(Call(None, output.logits.detach()))
            return
        if part == ROTARY:
            positions = given["position_ids"] if "position_ids" in given else args[1]
            kept.append(Call(positions, output))
            return
        hidden = args[0] if args else given["hidden_states"]
        tables = given.get("position_embeddings") if part == ATTENTION else None
        returned = output[0] if isinstance(output, tuple) else output
        kept.append(Call(hidden.detach(), returned.detach(), tables))
        if part.isdigit():
            record.order.append(name)

    return keep
