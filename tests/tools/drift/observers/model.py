"""What a library makes of a model's weights, loaded in 4 bit on the CPU as the task does."""

from collections import Counter
from pathlib import Path
from typing import Any

from tests.harness.data.registry import registry
from tests.harness.data.runs import PLAIN, runs
from tests.harness.forward.bounds import BOUNDS
from tests.harness.forward.comparison import KINDS, part_errors
from tests.harness.forward.running import price_ids, run_model
from tests.harness.forward.spec import read_spec
from tests.harness.forward.weights import read_weights
from tests.harness.memory.footprint import Load
from tests.harness.memory.inventory import Layer
from tests.harness.model.figures import load_figures
from tests.harness.model.generation import predict
from tests.harness.model.loading import LoadedModel, ModelSlot, prepared_tokenizer
from tests.harness.prices.products import price_prompt, read_products
from tests.harness.sources.weights import Weights

from ..record import Observer, short
from .calls import observe_torch_calls

_LOAD: Load = "nf4"
_BYTES = ("quant_states", "buffers", "other", "held", "footprint")
_PROMPTS = 2  # price prompts that are answered


def observe_model(observer: Observer, folder: Path, key: str, weights: Path) -> None:
    """Keys and messages of the load, bytes by part, `generate`, and the parts of a forward pass."""
    auto, slot = prepared_tokenizer(folder), ModelSlot()
    observe_torch_calls(observer, auto)
    checkpoint = Weights("directory", weights, True, "weights")

    def load() -> str:
        slot.load(registry()[key], "cpu", _LOAD, checkpoint, auto)
        return "loaded"

    observer.attempt("load keys", "from_pretrained", "load", load)
    if (loaded := slot.loaded_model) is None:
        return
    for name, keys in loaded.measured.loading_info.items():
        observer.note("load keys", "from_pretrained", name, sorted(map(str, keys)))
    said = list(map(observer.clean, loaded.measured.messages))
    observer.note("load keys", "from_pretrained", "messages", said)
    _observe_bytes(observer, loaded)
    _observe_forward(observer, loaded)  # before `generate`: its weights are read before any use
    for number, product in enumerate(read_products()[::12][:_PROMPTS]):
        prompt = price_prompt(product.text)
        if not number:
            observer.attempt("generation", "resolved", "", _observe_call, observer, loaded, prompt)
        observer.attempt("generation", "greedy answer", product.id, _answer, loaded, prompt)


def _observe_bytes(observer: Observer, loaded: LoadedModel) -> None:
    figures = load_figures(loaded)
    parts = {**figures.kinds, **{name: getattr(figures, name) for name in _BYTES}}
    for part, count in parts.items():
        observer.note("memory", "bytes", part, count)
    layers = Counter(map(_layer, loaded.measured.layers.values()))
    for layer, count in layers.items():
        observer.note("memory", "layers", layer, count)


def _layer(layer: Layer) -> str:
    fields = (layer.kind, layer.quant_type, layer.compute_dtype, layer.dtype, layer.absmax_dtype)
    sizes = (layer.block_size, layer.nested_block_size)
    return " ".join(str(field) for field in (*fields, *sizes) if field is not None)


def _observe_forward(observer: Observer, loaded: LoadedModel) -> None:
    """By kind of part, whether all are the reference's, else by how much the worst is off."""

    def errors() -> dict[str, float]:
        spec = read_spec(loaded.spec.architecture)
        weights = read_weights(loaded.model, loaded.weights.folder, loaded.device)
        ran = run_model(loaded.model, runs()[PLAIN], price_ids(loaded.tokenizer, runs()[PLAIN]))
        worst: dict[str, float] = {}
        for one in part_errors(ran.record, spec, weights, ran.rows):
            worst[one.kind] = max(worst.get(one.kind, 0), one.error)
        return worst

    worst: dict[str, float] = {}
    observer.attempt("forward", "a prompt of 180 tokens", "run", lambda: worst.update(errors()))
    for kind in KINDS:
        if worst:
            observer.note("forward", "part beside the reference", kind, _said(kind, worst))


def _said(kind: Any, worst: dict[str, float]) -> str:
    if kind not in worst:
        return "not called once in every call"
    bound = BOUNDS[_LOAD][kind]
    close = worst[kind] <= bound
    return "within rounding" if close else f"off by {worst[kind]:.2g}, rounding {bound:g}"


def _observe_call(observer: Observer, loaded: LoadedModel, prompt: str) -> str:
    """How the task's own call is resolved, setting by setting."""
    answer = predict(loaded.model, loaded.tokenizer, prompt)
    resolved = {
        **answer.settings,
        "logits processors": list(answer.processors),
        "stopping criteria": list(answer.criteria),
        "attention mask passed": answer.mask is not None,
        "returned rows": len(answer.rows),
    }
    for name, value in resolved.items():
        observer.note("generation", "setting", name, short(value))
    said = list(map(observer.clean, answer.messages))
    observer.note("generation", "setting", "messages", said)
    return "done"


def _answer(loaded: LoadedModel, prompt: str) -> dict[str, Any]:
    answer = predict(loaded.model, loaded.tokenizer, prompt, do_sample=False)
    return {"text": answer.reply, "ids": list(answer.new)}
