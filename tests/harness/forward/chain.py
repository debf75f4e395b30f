"""Whether the parts are joined as they should be: each layer once, in order, nothing lost."""

from collections.abc import Iterator
from typing import Any

from .recording import (
    ATTENTION,
    EMBEDDING,
    FINAL_NORM,
    FIRST_NORM,
    HEAD,
    MLP,
    OUTPUT,
    ROTARY,
    SECOND_NORM,
    Recording,
)


def broken_links(record: Recording, layers: int, ids: Any) -> Iterator[str]:
    """A line for each place where a part is not given what the part before it returned.

    The first part must be given ids (batch, tokens), but for the last ones that were generated.
    Equality is bit for bit. A layer's two sums are computed again in the model's own dtype: an
    addition is rounded once, so its bits are the same everywhere.
    """
    calls = len(record.calls[OUTPUT])
    names = [f"model.layers.{number}" for number in range(layers)]
    if record.order != names * calls:
        yield _first_wrong_layer(record.order, names * calls)
        return
    if counts := {name: len(kept) for name, kept in record.calls.items() if len(kept) != calls}:
        for name, count in counts.items():
            yield f"{name} was called {count} times in {calls} calls of the model"
        return
    read = record.given(f"model.{EMBEDDING}")
    if different := (read != ids[:, : read.shape[1]]).nonzero().tolist():
        sequence, place = different[0]
        got, expected = (int(side[sequence, place]) for side in (read, ids))
        yield f"token {place} of sequence {sequence}: the model was given {got}, not {expected}"
    for call in range(calls):
        before, at = f"model.{EMBEDDING}", _Call(record, call)
        for name in names:
            yield from at.link(name, before)
            yield from at.inside(name)
            before = name
        yield from at.link(f"model.{FINAL_NORM}", before)
        last = record.calls[HEAD][call].given
        if not _same(last, at.returned(f"model.{FINAL_NORM}")[:, -last.shape[1] :]):
            yield f"{HEAD} is not given what model.{FINAL_NORM} returned"
        if not _same(at.returned(OUTPUT), at.returned(HEAD)):
            yield f"the model does not return the logits of {HEAD}"


def wrong_choices(record: Recording, ids: Any) -> Iterator[str]:
    """A line for each new token that is not the likeliest: ids (batch, tokens) with the answer."""
    calls = record.calls[OUTPUT]
    begin = ids.shape[1] - len(calls)
    for step, call in enumerate(calls):
        best = call.returned[:, -1].float().argmax(-1)
        for sequence, (got, expected) in enumerate(zip(ids[:, begin + step], best, strict=True)):
            if got != expected:
                yield f"new token {step} of sequence {sequence}: got {got}, likeliest {expected}"


def _first_wrong_layer(got: list[str], expected: list[str]) -> str:
    for place, name in enumerate(expected):
        if place >= len(got) or got[place] != name:
            found = got[place] if place < len(got) else "none"
            return f"call {place} of a layer was {found}, expected {name}"
    return f"{len(got)} layers were called, expected {len(expected)}"


class _Call:
    """The parts of one call of the model."""

    def __init__(self, record: Recording, call: int) -> None:
        self.record, self.call = record, call

    def given(self, name: str) -> Any:
        return self.record.calls[name][self.call].given

    def returned(self, name: str) -> Any:
        return self.record.calls[name][self.call].returned

    def link(self, name: str, before: str) -> Iterator[str]:
        if not _same(self.given(name), self.returned(before)):
            yield f"{name} is not given what {before} returned"

    def inside(self, name: str) -> Iterator[str]:
        """Norm, attention, sum, norm, MLP, sum; and the tables that attention is given."""
        first, attention, second, mlp = (
            f"{name}.{part}" for part in (FIRST_NORM, ATTENTION, SECOND_NORM, MLP)
        )
        hidden = self.given(name)
        if not _same(self.given(first), hidden):
            yield f"{first} is not given what {name} was given"
        yield from self.link(attention, first)
        middle = hidden + self.returned(attention)
        if not _same(self.given(second), middle):
            yield f"{second} is not given the sum of what {name} was given and {attention}"
        yield from self.link(mlp, second)
        if not _same(self.returned(name), middle + self.returned(mlp)):
            yield f"{name} does not return the sum of what {second} was given and {mlp}"
        tables = self.record.calls[attention][self.call].tables
        made = self.returned(f"model.{ROTARY}")
        if not all(_same(left, right) for left, right in zip(tables, made, strict=True)):
            yield f"{attention} is not given the tables of model.{ROTARY}"


def _same(left: Any, right: Any) -> bool:
    import torch

    return bool(left.dtype == right.dtype and torch.equal(left, right))
