"""The forward pass of a model, run and judged: by parts, joints, logits and rotary tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..data.runs import PLAIN, Run, runs
from ..errors import ContractBroken
from ..forward import reference
from ..forward.bounds import (
    BOUNDS,
    FLOAT32,
    FLOAT32_LOGITS,
    LAST_POSITIONS,
    LOGITS,
)
from ..forward.comparison import KINDS, part_errors
from ..forward.narrow import NarrowModel, narrow_prompts
from ..forward.recording import OUTPUT
from ..forward.running import price_ids, run_model, sampled_layers
from ..forward.spec import ForwardSpec, read_spec
from ..forward.weights import Weights, read_weights
from ..model.loading import LoadedModel
from .forward import (
    check_chain,
    check_choices,
    check_logits,
    check_parts,
    check_tables,
    first_wrong,
    largest_errors,
    logit_errors,
)

CHAIN, WHOLE = "chain", "logits"  # what is judged beside the kinds of parts


@dataclass(frozen=True)
class ForwardPass:
    """A loaded model's plain run as judged, with what further runs are compared with."""

    loaded: LoadedModel
    spec: ForwardSpec
    weights: Weights
    failures: dict[str, ContractBroken]
    largest: dict[str, float]  # the largest error of each kind of part, and the logits' errors

    def check(self, name: str) -> None:
        """Raise the failure of a kind of part, of the chain or of the logits, if there is one."""
        if name in self.failures:
            raise self.failures[name]


def judge_plain_run(loaded: LoadedModel) -> ForwardPass:
    """Run a model as it was loaded, and judge all; no tensor of the run is kept."""
    spec, weights = read_spec(loaded.spec.architecture), _weights_of(loaded)
    run, bounds, subject = runs()[PLAIN], BOUNDS[loaded.load], loaded.label
    ran = run_model(loaded.model, run, price_ids(loaded.tokenizer, run))
    errors = list(part_errors(ran.record, spec, weights, ran.rows))
    logits = ran.record.calls[OUTPUT][0].returned[0]
    expected = reference.forward(spec, weights, ran.ids[0])
    parts = first_wrong(errors, bounds)
    failures: dict[str, ContractBroken] = {}
    for kind in KINDS:
        with _kept(failures, kind):
            check_parts(subject, ran, spec, weights, bounds, errors, {kind})
    with _kept(failures, CHAIN):
        check_chain(subject, ran, spec)
    with _kept(failures, WHOLE):
        check_logits(subject, logits, expected, LOGITS[loaded.load], parts)
    error, divergence = logit_errors(logits, expected)
    largest = {**largest_errors(errors), WHOLE: error, "nats": divergence}
    return ForwardPass(loaded, spec, weights, failures, largest)


@contextmanager
def _kept(failures: dict[str, ContractBroken], name: str) -> Iterator[None]:
    try:
        yield
    except ContractBroken as error:
        failures[name] = error.with_traceback(None)  # whose frames hold the run's tensors


def _weights_of(loaded: LoadedModel) -> Weights:
    return read_weights(loaded.model, loaded.weights.folder, loaded.device)


def check_run(loaded: LoadedModel, forward: ForwardPass, run: Run) -> None:
    """Fail unless every part of a run is the reference's, and joined as it should be."""
    spec = forward.spec
    # On the CPU the weights were read before their first use changed them.
    known = loaded.device == "cpu" or forward.loaded is loaded
    weights = forward.weights if known else _weights_of(loaded)
    prompts, layers = price_ids(loaded.tokenizer, run), sampled_layers(run, spec.layers)
    ran = run_model(loaded.model, run, prompts, layers)
    errors = list(part_errors(ran.record, spec, weights, ran.rows))
    subject = f"{loaded.label}: {run.id}"
    check_parts(subject, ran, spec, weights, BOUNDS[loaded.load], errors)
    if layers is None:
        check_chain(subject, ran, spec)
    if run.new_tokens:
        check_choices(subject, ran)


def check_last_positions(subject: str, model: Any, spec: ForwardSpec) -> None:
    """Fail unless the rotary tables of the last positions of the context are the reference's."""
    import torch

    last = torch.arange(spec.context - 64, spec.context, device=model.device)
    hidden = torch.zeros(1, 64, spec.hidden, dtype=model.dtype, device=model.device)
    with torch.inference_mode():
        tables = model.model.rotary_emb(hidden, position_ids=last[None])
    check_tables(subject, tables, spec, last, LAST_POSITIONS)


def check_narrow(subject: str, narrow: NarrowModel, run: Run) -> None:
    """Fail unless a narrow model in float32 equals the reference: parts, joints and logits."""
    spec, weights = narrow.spec, narrow.weights
    prompts = narrow_prompts(run.prompts, run.tokens)
    if run.cache:  # one that is kept would still hold what came before
        run_model(narrow.model, run, [ids[::-1] for ids in prompts])
    ran = run_model(narrow.model, run, prompts)
    errors = list(part_errors(ran.record, spec, weights, ran.rows))
    subject = f"{subject}: narrow model, {run.id}"
    check_parts(subject, ran, spec, weights, FLOAT32, errors)
    check_chain(subject, ran, spec)
    if run.new_tokens:
        check_choices(subject, ran)
    logits, parts = ran.record.returned(OUTPUT), first_wrong(errors, FLOAT32)
    for rows in ran.rows:
        expected = reference.forward(spec, weights, ran.ids[rows.sequence][rows.places])
        got = logits[rows.sequence]
        check_logits(subject, got, expected[-len(got) :], FLOAT32_LOGITS, parts)
