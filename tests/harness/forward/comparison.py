"""What a model computed beside the reference: the relative error of each part."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from . import reference
from .recording import (
    ATTENTION,
    EMBEDDING,
    FINAL_NORM,
    HEAD,
    LAYER_PARTS,
    MLP,
    OUTPUT,
    ROTARY,
    Recording,
)
from .spec import ForwardSpec
from .weights import Weights

Kind = Literal["embedding", "rotary", "norm", "attention", "mlp", "head"]
KINDS: tuple[Kind, ...] = ("embedding", "rotary", "norm", "attention", "mlp", "head")
_KIND_OF: dict[str, Kind] = {
    EMBEDDING: "embedding",
    ROTARY: "rotary",
    ATTENTION: "attention",
    MLP: "mlp",
    HEAD: "head",
}


def kind_of(part: str) -> Kind:
    """The kind of a part: `model.layers.14.self_attn` is attention."""
    return _KIND_OF.get(part.rpartition(".")[2], "norm")


@dataclass(frozen=True)
class Rows:
    """The tokens of one sequence in a run, pads left out, and where the answer begins."""

    sequence: int  # its place in the batch
    places: Any  # (tokens,) of the padded sequence
    prompt: int  # how many of them are the prompt's


@dataclass(frozen=True)
class PartError:
    """How far a part is from the reference: ||got - expected|| / ||expected||."""

    part: str
    error: float
    rows: Rows
    section: str  # which of them: prompt or answer

    @property
    def kind(self) -> Kind:
        """The part's kind."""
        return kind_of(self.part)


def rows_of(mask: Any, prompt: int) -> list[Rows]:
    """The rows of each sequence: mask (batch, tokens), of which `prompt` are the padded prompt."""
    return [
        Rows(sequence, places := row.nonzero()[:, 0], int((places < prompt).sum()))
        for sequence, row in enumerate(mask)
    ]


def part_errors(
    record: Recording, spec: ForwardSpec, weights: Weights, rows: Sequence[Rows]
) -> Iterator[PartError]:
    """The error of every recorded part, in the order in which they are computed.

    Each is computed from what the part was given, so that errors do not add up; attention also
    from the tables it was given, which are compared as a part of their own. Parts that were not
    called once in every call of the model are left out: `chain` names them.
    """
    numbers = sorted({int(name.split(".")[2]) for name in record.calls if ".layers." in name})
    layers = [f"model.layers.{number}" for number in numbers]
    inner = [f"{layer}.{part}" for layer in layers for part in LAYER_PARTS]
    names = [f"model.{EMBEDDING}", f"model.{ROTARY}", *inner, f"model.{FINAL_NORM}", HEAD]
    calls = len(record.calls[OUTPUT])
    for name in (name for name in names if len(record.calls[name]) == calls):
        for one in rows:
            yield from _errors(record, spec, weights, name, one)


def _errors(
    record: Recording, spec: ForwardSpec, weights: Weights, name: str, rows: Rows
) -> Iterator[PartError]:
    got = returned(record, name, rows)
    expected = expected_of(record, spec, weights, name, rows)
    for section, tokens in sections_of(name, rows).items():
        if len(expected[tokens]):
            same = got.shape == expected.shape
            error = relative_error(got[tokens], expected[tokens]) if same else math.inf
            yield PartError(name, error, rows, section)


def sections_of(name: str, rows: Rows) -> dict[str, slice]:
    """The tokens of prompt and answer; the head's are one, as generation asks for no others."""
    if name == HEAD:
        return {"prompt": slice(None)}
    return {"prompt": slice(rows.prompt), "answer": slice(rows.prompt, None)}


def relative_error(got: Any, expected: Any) -> float:
    """||got - expected|| / ||expected||, in float32; not a number where either side is none."""
    return float((got.float() - expected).norm() / expected.norm().clamp(min=1e-30))


def returned(record: Recording, name: str, rows: Rows) -> Any:
    """What a part returned for these rows, (tokens, width); tables as cosines beside sines."""
    if kind_of(name) == "rotary":
        return _join_tables(_tables_of([call.returned for call in record.calls[name]], rows))
    return _rows(record.returned(name), rows)


def expected_of(
    record: Recording, spec: ForwardSpec, weights: Weights, name: str, rows: Rows, **changes: Any
) -> Any:
    """What the reference makes of what a part was given; `changes` go to its function."""
    import torch

    if kind_of(name) == "rotary":
        count = len(rows.places)
        positions = changes.pop("positions", torch.arange(count, device=rows.places.device))
        rotary = changes.pop("rotary", spec.rotary)
        return _join_tables(reference.rotary_tables(rotary, positions))
    given = _rows(record.given(name), rows)
    match kind_of(name):
        case "embedding":
            return reference.embedding(weights, given)
        case "norm":
            return reference.norm(spec, weights, name, given.float(), **changes)
        case "attention":
            tables = _tables_of([call.tables for call in record.calls[name]], rows)
            cosine, sine = (table.float() for table in tables)
            return reference.attention(
                spec, weights, name, given.float(), (cosine, sine), **changes
            )
        case "mlp":
            return reference.mlp(spec, weights, name, given.float(), **changes)
        case _:
            return reference.head(spec, weights, given.float())


def _rows(joined: Any, rows: Rows) -> Any:
    """A sequence's rows without pads; the head's are all that it was given."""
    own = joined[rows.sequence]
    return own[rows.places] if len(own) > int(rows.places[-1]) else own


def _tables_of(calls: Sequence[Any], rows: Rows) -> list[Any]:
    """Cosines and sines of a sequence's tokens, of those of each call; one table may be all's."""
    import torch

    joined = [torch.cat([tables[side] for tables in calls], dim=1) for side in (0, 1)]
    return [side[min(rows.sequence, len(side) - 1)][rows.places] for side in joined]


def _join_tables(tables: Sequence[Any]) -> Any:
    import torch

    return torch.cat(list(tables), dim=-1)
