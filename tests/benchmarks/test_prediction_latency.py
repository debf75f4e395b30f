"""How long the model takes to load and to name a price; what it answers is judged elsewhere."""

from functools import partial

from tests.harness.checks.answers import check_tokens
from tests.harness.latency import calls
from tests.harness.latency.calls import fixed_prompt
from tests.harness.latency.measure import Measure
from tests.harness.latency.recording import Keys
from tests.harness.latency.spec import read_spec
from tests.harness.model import device as devices
from tests.harness.model.loading import LoadedModel, from_pretrained, quantization_config
from tests.harness.plugins.models import ModelCache
from tests.harness.plugins.parametrize import Placement
from tests.harness.sources.identity import in_one, weights_identity


def _keys(loaded_model: LoadedModel, name: str, batch: int = 1) -> Keys:
    """What must be equal for two latencies of a prediction to be comparable."""
    spec = read_spec().benchmarks[name]
    return {
        "load": loaded_model.load,
        "weights": loaded_model.weights.kind,
        "prompt_tokens": spec.prompt_tokens[loaded_model.device],
        "new_tokens": spec.new_tokens,
        "batch": batch,
    }


def test_first_token(loaded_model: LoadedModel, batch: int, measure: Measure) -> None:
    about = _keys(loaded_model, "first_token", batch)
    prompt = fixed_prompt(loaded_model.tokenizer, int(about["prompt_tokens"]))
    call = partial(calls.first_token, loaded_model.model, loaded_model.tokenizer, prompt)
    first = calls.predict(loaded_model.model, loaded_model.tokenizer, prompt, 4)[:1]
    cause = "the streamer was not given the first new token"
    check_tokens(loaded_model, "first streamed token", call(), first, cause)
    measure(loaded_model.key, call, about, loaded_model)


def test_predict(loaded_model: LoadedModel, batch: int, measure: Measure) -> None:
    _predict(loaded_model, "predict", measure)


def test_predict_one_token(loaded_model: LoadedModel, batch: int, measure: Measure) -> None:
    _predict(loaded_model, "predict_one_token", measure)


def _predict(loaded_model: LoadedModel, name: str, measure: Measure) -> None:
    """Time the task's own call with the entry's number of new tokens."""
    about = _keys(loaded_model, name)
    prompt = fixed_prompt(loaded_model.tokenizer, int(about["prompt_tokens"]))
    new = int(about["new_tokens"])
    measure(
        loaded_model.key,
        partial(calls.predict, loaded_model.model, loaded_model.tokenizer, prompt, new),
        about,
        loaded_model,
    )


def test_predict_batch(loaded_model: LoadedModel, batch: int, measure: Measure) -> None:
    about = _keys(loaded_model, "predict_batch", batch)
    tokens = int(about["prompt_tokens"])
    prompts = [fixed_prompt(loaded_model.tokenizer, tokens, start) for start in range(batch)]
    ids = [loaded_model.tokenizer.encode(prompt) for prompt in prompts]
    measure(
        loaded_model.key, partial(calls.next_tokens, loaded_model.model, ids), about, loaded_model
    )


def test_load_model(
    placement: Placement, batch: int, model_cache: ModelCache, measure: Measure
) -> None:
    key, device, load = placement
    weights = model_cache.get(placement, trained=False).weights
    model_cache.slot.unload()

    layers = read_spec().benchmarks["load_model"].layers.get(device)
    changes = {"num_hidden_layers": layers} if layers else {}

    def call() -> None:
        from_pretrained(weights.folder, device, quantization_config(load), **changes)

    collect = partial(devices.collect, device)  # frees the model of the round before
    about: Keys = {"load": load, "weights": weights.kind, "layers": layers or "all"}
    about["weights_files"] = in_one(weights_identity(weights))
    measure(key, call, about, setup=collect)
