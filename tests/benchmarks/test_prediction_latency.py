"""How long the model takes to load and to name a price; what it answers is judged elsewhere."""

from functools import partial

from tests.harness import device as devices
from tests.harness.answer_verdicts import check_tokens
from tests.harness.latency import calls
from tests.harness.latency.calls import fixed_prompt
from tests.harness.latency.measure import Measure
from tests.harness.latency.recording import Keys
from tests.harness.latency.spec import read_spec
from tests.harness.live import Live, from_pretrained, quantization_config
from tests.harness.places import Place
from tests.harness.quantized import Models


def _keys(live: Live, name: str, batch: int = 1) -> Keys:
    """What must be equal for two latencies of a prediction to be comparable."""
    spec = read_spec().benchmarks[name]
    return {
        "load": live.load,
        "weights": live.weights.kind,
        "prompt_tokens": spec.prompt_tokens[live.device],
        "new_tokens": spec.new_tokens,
        "batch": batch,
    }


def test_load_model(live_place: Place, batch: int, models: Models, measure: Measure) -> None:
    key, device, load = live_place
    weights = models.get(live_place, trained=False).weights
    models.slot.unload()

    def call() -> None:
        from_pretrained(weights.folder, device, quantization_config(load))

    collect = partial(devices.collect, device)  # frees the model of the round before
    measure(key, call, {"load": load, "weights": weights.kind}, setup=collect)


def test_first_token(live: Live, batch: int, measure: Measure) -> None:
    about = _keys(live, "first_token", batch)
    prompt = fixed_prompt(live.tokenizer, int(about["prompt_tokens"]))
    call = partial(calls.first_token, live.model, live.tokenizer, prompt)
    first = calls.predict(live.model, live.tokenizer, prompt, 4)[:1]
    cause = "the streamer was not given the first new token"
    check_tokens(live, "first streamed token", call(), first, cause)
    measure(live.key, call, about, live)


def test_predict(live: Live, batch: int, measure: Measure) -> None:
    _predict(live, "predict", measure)


def test_predict_one_token(live: Live, batch: int, measure: Measure) -> None:
    _predict(live, "predict_one_token", measure)


def _predict(live: Live, name: str, measure: Measure) -> None:
    """The task's own call, with as many new tokens as the entry says."""
    about = _keys(live, name)
    prompt = fixed_prompt(live.tokenizer, int(about["prompt_tokens"]))
    new = int(about["new_tokens"])
    measure(live.key, partial(calls.predict, live.model, live.tokenizer, prompt, new), about, live)


def test_predict_batch(live: Live, batch: int, measure: Measure) -> None:
    about = _keys(live, "predict_batch", batch)
    tokens = int(about["prompt_tokens"])
    prompts = [fixed_prompt(live.tokenizer, tokens, start) for start in range(batch)]
    ids = [live.tokenizer.encode(prompt) for prompt in prompts]
    measure(live.key, partial(calls.next_tokens, live.model, ids), about, live)
