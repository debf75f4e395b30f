"""Runs a model as a `Run` says, with every part recorded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

from ..data.runs import Run
from ..model.messages import capture_messages
from ..prices.products import by_length, price_prompt
from .comparison import Rows, rows_of
from .recording import Recording, recording


@dataclass(frozen=True)
class Ran:
    """A finished run."""

    record: Recording
    rows: list[Rows]  # of each sequence
    ids: Any  # (batch, tokens): pads, prompt and new tokens


def price_ids(tokenizer: Any, run: Run) -> list[list[int]]:
    """Ids of price prompts for a run: one of its length, or several of unequal lengths."""
    products = by_length()
    if run.prompts > 1:
        step = len(products) // run.prompts
        return [tokenizer.encode(price_prompt(p.text)) for p in products[::step][: run.prompts]]
    texts, ids = [], []
    for product in reversed(products):
        texts.append(product.text)
        ids = tokenizer.encode(price_prompt("\n\n".join(texts)))
        if len(ids) >= run.tokens:
            break
    return [ids]


def sampled_layers(run: Run, layers: int) -> list[int] | None:
    """Which layers are recorded: a few of a long prompt, whose tensors are large; None: all."""
    return None if run.tokens <= Run.tokens else [0, layers // 3, 2 * layers // 3, layers - 1]


def run_model(
    model: Any, run: Run, prompts: Sequence[Sequence[int]], layers: Sequence[int] | None = None
) -> Ran:
    """Run the prompts, padded on the left, and record these layers (None: all of them)."""
    import torch

    longest = max(map(len, prompts))
    pad = model.generation_config.pad_token_id or 0
    rows = [[pad] * (longest - len(ids)) + list(ids) for ids in prompts]
    seen = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
    ids, mask = (torch.tensor(values, device=model.device) for values in (rows, seen))
    with (
        capture_messages(),
        torch.inference_mode(not run.gradients),
        _attention(model, run),
        recording(model, layers) as record,
    ):
        if run.new_tokens:
            ids = _generate(model, run, ids, mask)
        elif run.pieces > 1:
            _call_in_pieces(model, run, ids)
        else:
            model(input_ids=ids, use_cache=False)
    new = max(run.new_tokens - 1, 0)  # the last one was given to nothing
    mask = torch.cat((mask, mask.new_ones(len(mask), new)), dim=1)
    return Ran(record, rows_of(mask, longest), ids)


def _generate(model: Any, run: Run, ids: Any, mask: Any) -> Any:
    # What is compiled has no parts to record.
    cache = {"cache_implementation": run.cache, "disable_compile": True} if run.cache else {}
    return model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=run.new_tokens,
        do_sample=False,
        eos_token_id=None,
        **cache,
    )


def _call_in_pieces(model: Any, run: Run, ids: Any) -> None:
    """The last token by itself; positions and masks are as the model makes them of its cache."""
    # Renamed in transformers 5.24.
    name = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"
    cache = None
    for piece in (*ids[:, :-1].chunk(run.pieces - 1, dim=1), ids[:, -1:]):
        cache = getattr(model(input_ids=piece, use_cache=True, **{name: cache}), name)


@contextmanager
def _attention(model: Any, run: Run) -> Iterator[None]:
    """Let the model use the run's implementation of attention; the old one after."""
    if run.implementation is None:
        yield
        return
    before = model.config._attn_implementation
    model.set_attn_implementation(run.implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
