"""Judges a forward pass: every part within its bound of the reference, and nothing lost between."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..errors import fail
from ..forward.chain import broken_links, wrong_choices
from ..forward.code import foreign_functions
from ..forward.comparison import KINDS, Kind, PartError, relative_error
from ..forward.reference import rotary_tables
from ..forward.running import Ran
from ..forward.spec import ForwardSpec
from ..forward.tell_tales import explain
from ..forward.weights import Weights

Bounds = Mapping[Kind, float]
_PLURALS = {"norm": "norms", "mlp": "MLPs"}


def check_parts(
    subject: str,
    ran: Ran,
    spec: ForwardSpec,
    weights: Weights,
    bounds: Bounds,
    errors: Sequence[PartError],
    kinds: Collection[Kind] = KINDS,
) -> None:
    """Fail unless every part of these kinds is within its bound of the reference.

    The first that is not, in the order of computing, is told with what agrees and with the
    mistake that explains it. `errors` are those of the whole run.
    """
    wrong = _outside(errors, bounds)
    first = next((error for error in wrong if error.kind in kinds), None)
    if not any(error.kind in kinds for error in errors):
        fail(subject, f"no {' or '.join(kinds)} was called once in every call of the model")
    if first is None:
        return
    bound, kind = bounds[first.kind], first.kind
    cause = explain(ran.record, spec, weights, first, bound)
    where = [f"sequence {first.rows.sequence}"] if len(ran.rows) > 1 else []
    where += [first.section] if first.section == "answer" else []
    in_words = f" ({', '.join(where)})" if where else ""
    differing = sorted({error.part for error in wrong if error.kind == kind}, key=_place)
    total = len({error.part for error in errors if error.kind == kind})
    fail(
        subject,
        f"{_name(first.part)}{in_words}: differs from the reference by "
        f"{first.error:.3g}, bound {bound:g}; {_agreeing(wrong, first)}",
        f"  {len(differing)} of {total} parts of this kind differ: {_list(differing)}",
        *(f"  {name}: largest error {error:.3g}" for name, error in largest_errors(errors).items()),
        cause=cause,
    )


def _outside(errors: Sequence[PartError], bounds: Bounds) -> list[PartError]:
    return [error for error in errors if not error.error <= bounds[error.kind]]  # NaN, too


def _name(part: str) -> str:
    """`layer 14 self_attn` for `model.layers.14.self_attn`."""
    words = part.removeprefix("model.").split(".")
    return f"layer {words[1]} {words[2]}" if words[0] == "layers" else words[0]


def _place(part: str) -> tuple[int, str]:
    words = part.split(".")
    return (int(words[2]) if "layers" in words else -1), part


def _list(parts: Sequence[str]) -> str:
    names = [_name(part) for part in parts]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _agreeing(wrong: Sequence[PartError], first: PartError) -> str:
    """Which layers come before the first wrong part, and which kinds agree everywhere."""
    bad = {error.kind for error in wrong}
    good = [_PLURALS.get(kind, kind) for kind in KINDS if kind not in bad]
    number, all_numbers = _place(first.part)[0], [_place(error.part)[0] for error in wrong]
    words = [f"layers 0 to {number - 1} agree"] if 0 < number <= min(all_numbers) else []
    return ", ".join([*words, f"{' and '.join(good)} agree" if good else "nothing else agrees"])


def largest_errors(errors: Sequence[PartError]) -> dict[str, float]:
    """The largest error of each kind of part."""
    worst: dict[str, float] = {}
    for error in errors:
        worst[error.kind] = max(worst.get(error.kind, 0.0), error.error)
    return worst


# Of a broken joint, by how its line begins.
_CAUSES = {
    "token": "other ids are given to the model than were chosen or asked for",
    "lm_head": "the last norm's rows are cut or changed on their way to the head",
    "the model": "logits are scaled, capped or cut behind the head",
}
_LAYERS = "a layer is skipped or repeated, or a residual is lost, scaled or cast"


def check_chain(subject: str, ran: Ran, spec: ForwardSpec) -> None:
    """Fail unless each layer is called once, in order, with what the one before it returned."""
    if broken := list(broken_links(ran.record, spec.layers, ran.ids)):
        fail(
            subject,
            f"{broken[0]} ({len(broken)} such places)",
            *(f"  {line}" for line in broken[1:6]),
            cause=next((c for begin, c in _CAUSES.items() if broken[0].startswith(begin)), _LAYERS),
        )


def check_choices(subject: str, ran: Ran) -> None:
    """Fail unless greedy generation took the likeliest token each time."""
    if wrong := list(wrong_choices(ran.record, ran.ids)):
        fail(
            subject,
            f"{wrong[0]} ({len(wrong)} such tokens)",
            cause="sampling is on, or something changes the logits before the choice",
        )


def check_logits(
    subject: str, got: Any, expected: Any, bounds: tuple[float, float], parts: str
) -> None:
    """Fail unless logits (tokens, vocabulary) are the reference's within the bounds.

    `parts` says what else is known: which parts differ, if any.
    """
    error, divergence = logit_errors(got, expected)
    if error <= bounds[0] and divergence <= bounds[1]:
        return
    place = int((got.float() - expected).norm(dim=-1).argmax())
    fail(
        subject,
        f"logits of the whole pass: differ from the reference by {error:.3g}, bound {bounds[0]:g}, "
        f"and by {divergence:.3g} nats, bound {bounds[1]:g}; most at token {place}",
        cause=parts,
    )


def logit_errors(got: Any, expected: Any) -> tuple[float, float]:
    """Relative error of logits (tokens, vocabulary), and mean divergence of tokens in nats."""
    left, right = (logits.float().log_softmax(-1) for logits in (expected, got))
    return relative_error(got, expected), float((left.exp() * (left - right)).sum(-1).mean())


def first_wrong(errors: Sequence[PartError], bounds: Bounds) -> str:
    """Which part is wrong first, in words for a cause; of a part-wise faultless pass the joints."""
    if wrong := _outside(errors, bounds):
        return f"{_name(wrong[0].part)} differs by {wrong[0].error:.3g}, see its own test"
    return "all parts agree, so they are joined in another way: a layer skipped, a sum left out"


def check_tables(
    subject: str, tables: Any, spec: ForwardSpec, positions: Any, bound: float
) -> None:
    """Fail unless rotary tables (1, tokens, size) of these positions are the reference's."""
    expected = rotary_tables(spec.rotary, positions)
    if (got := tables[0][0].shape) != (right := expected[0].shape):
        fail(
            subject,
            f"rotary tables are of shape {tuple(got)}, expected {tuple(right)}",
            cause="another share of a head is rotated",
        )
    error = max(relative_error(got[0], right) for got, right in zip(tables, expected, strict=True))
    if not error <= bound:
        first, last = int(positions[0]), int(positions[-1])
        fail(
            subject,
            f"rotary tables of positions {first:,} to {last:,}: differ from the reference by "
            f"{error:.3g}, bound {bound:g}",
            cause="the base or the scaling, or positions are multiplied in less than float32",
        )


def check_code(subject: str, model: Any) -> None:
    """Fail unless every function of the model is the library's own."""
    if foreign := list(foreign_functions(model)):
        fail(
            subject,
            f"{foreign[0]}, expected the library's own ({len(foreign)} such functions)",
            *(f"  {line}" for line in foreign[1:6]),
            cause="an installed package replaces parts of models: `kernels`, peft or a patch",
        )
