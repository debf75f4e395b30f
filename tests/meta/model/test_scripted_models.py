"""Models with known answers, through the real path: every check gives the right verdict.

They are tiny, in Llama architecture, with Llama-3.1's own tokenizer. A scripted model's next token
depends on the last one alone: the layers' outputs are multiplied by zero, the embedding codes
which step of the script a token is, and the head turns a step into the next token.
"""

import gc
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.harness.checks import answers, prices
from tests.harness.checks import generation_settings as settings
from tests.harness.checks.memory import check_no_messages
from tests.harness.data.registry import Model, registry
from tests.harness.errors import ContractBroken
from tests.harness.model.generation import Answer, predict
from tests.harness.model.loading import LoadedModel, ModelSlot, prepared_tokenizer
from tests.harness.model.logits import choices, next_token_logits
from tests.harness.model.messages import capture_messages
from tests.harness.prices.products import price_prompt
from tests.harness.snapshots.file import read_snapshot_file
from tests.harness.sources.checkpoints import copy_generation_config, random_model
from tests.harness.sources.weights import Weights
from tests.meta.conftest import PROJECT

KEY = "llama3_1"
HIDDEN = 64  # 33 MB in bf16: embedding and head have 128,256 rows
CERTAIN = 4.0  # in the head; a step's vector has length 8 after the norm, so logits are 32 and 0

END = "<|end_of_text|>"
# What follows the prompt's last token, then each of these tokens.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "answers 374": ("374", ".", "00", END),
    "answers in words": (" three", " hundred", " dollars", END),
    "says $ again": (" $",),
    "ends at once": (END,),
}

PROMPT = price_prompt("Desk lamp\nLED, 12 W, dimmable.")
PREFIX = "Yesterday it was free of charge. Price is $0.\n\n"
ONE: dict[str, Any] = {"do_sample": False, "max_new_tokens": 1}

SIZES = {
    "hidden_size": HIDDEN,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
}

Check = Callable[[LoadedModel], None]


def next_tokens(tokenizer: Any, script: tuple[str, ...]) -> Mapping[int, int]:
    """Last token to next token; 0 stands for every token that is not in the script."""
    ids = [tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) for text in script]
    assert all(len(tokens) == 1 for tokens in ids), f"{script}: each entry must be one token"
    steps = [token for (token,) in ids]
    return {0: steps[0]} | dict(pairwise(steps))


def follow(model: Any, following: Mapping[int, int]) -> None:
    """Write the script into the model's weights."""
    import torch

    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embedding, head = model.get_input_embeddings().weight, model.lm_head.weight
        embedding.zero_()
        head.zero_()
        embedding[:, 0] = 1.0
        for step, (last, following_id) in enumerate(following.items()):
            if step:
                embedding[last] = torch.nn.functional.one_hot(torch.tensor(step), HIDDEN)
            head[following_id, step] = CERTAIN


def save(folder: Path, spec: Model, tokenizer: Any, script: tuple[str, ...]) -> None:
    """A checkpoint that follows the script."""
    model = random_model(spec, "cpu")
    follow(model, next_tokens(tokenizer, script))
    with capture_messages():  # no progress bar
        model.save_pretrained(folder)
    copy_generation_config(Path(tokenizer.name_or_path), folder)


@contextmanager
def scripted_model(script: str, tokenizer: Any, folder: Path) -> Iterator[LoadedModel]:
    """The model of a script in NF4, loaded by the path that real models take."""
    model = registry()[KEY]
    spec = replace(model, architecture=model.architecture | SIZES)
    save(folder, spec, tokenizer, SCRIPTS[script])
    weights = Weights("directory", folder, True, f"double {script!r}")
    slot = ModelSlot()
    try:
        yield slot.load(spec, "cpu", "nf4", weights, tokenizer)
    finally:
        slot.unload()
        shutil.rmtree(folder)  # 33 MB


def answer_of(loaded: LoadedModel, prompt: str = PROMPT, **changes: Any) -> Answer:
    """The task's call, with changes."""
    return predict(loaded.model, loaded.tokenizer, prompt, **changes)


LAMP = "lamp"
SNAPSHOT = PROJECT / "tests" / "quantized" / "__snapshots__" / f"{KEY}.generation.txt"


@pytest.fixture(scope="module")
def tokenizer(bundle: dict[str, Path]) -> Any:
    """Llama-3.1's own, as the task sets it."""
    tokenizer = prepared_tokenizer(bundle[KEY])
    gc.freeze()  # each load collects garbage: of the imported libraries there is none
    return tokenizer


@pytest.fixture(scope="module", params=SCRIPTS)
def script(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loaded(
    script: str, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoadedModel]:
    """Each scripted model, one in memory at a time."""
    with scripted_model(script, tokenizer, tmp_path_factory.mktemp("scripted")) as loaded:
        yield loaded


def check_four(loaded: LoadedModel) -> None:
    one, four = answer_of(loaded, **ONE), answer_of(loaded, do_sample=False)
    prices.check_first_of_four(loaded, LAMP, one, four)
    prices.check_same_price(loaded, LAMP, one, four)


CHECKS: dict[str, Check] = {
    "token": lambda model: prices.check_price_token(model, LAMP, answer_of(model, **ONE).logits),
    "mass": lambda model: prices.check_price_mass(model, LAMP, answer_of(model, **ONE).logits),
    "one": lambda model: prices.check_one_token_price(model, LAMP, answer_of(model, **ONE)),
    "four": check_four,
    "reading": lambda model: prices.check_reading(model, LAMP, answer_of(model)),
    "count": lambda model: answers.check_count(model, answer_of(model), 4, LAMP),
}
# The answer of each script, and the verdicts on it; a check without a verdict passes.
REPLIES = {
    "answers 374": "374.00<|end_of_text|>",
    "answers in words": " three hundred dollars<|end_of_text|>",
    "says $ again": " $ $ $ $",
    "ends at once": "<|end_of_text|>",
}
NO_MASS = "probability of a price token got 0.000, expected at least 0.5; "


def no_price(first: str) -> dict[str, str]:
    """The verdicts on an answer whose first token is no price."""
    return {
        "token": f"most likely after 'Price is $' got {first}, expected digits; ",
        "mass": NO_MASS,
        "one": f"one new token got {first}, expected a price; ",
    }


TOO_FEW = "got 1 new tokens, expected 4; likely cause: max_new_tokens=4 and "
VERDICTS: dict[str, dict[str, str]] = {
    "answers 374": {},
    "answers in words": no_price("2380 ' three'"),
    "says $ again": no_price("400 ' $'"),
    "ends at once": no_price("128001 '<|end_of_text|>'") | {"count": TOO_FEW},
}


def test_script_is_followed(script: str, loaded: LoadedModel) -> None:
    assert answer_of(loaded).reply == REPLIES[script]


@pytest.mark.parametrize("check", CHECKS)
def test_answer_is_judged_rightly(script: str, loaded: LoadedModel, check: str) -> None:
    if check not in VERDICTS[script]:
        CHECKS[check](loaded)
        return
    with pytest.raises(ContractBroken) as failure:
        CHECKS[check](loaded)
    start = f"{KEY}: cpu nf4, double {script!r}: {LAMP}: "
    assert failure.value.first_line.startswith(start + VERDICTS[script][check])


def test_call_is_judged_sound(loaded: LoadedModel) -> None:
    answer = answer_of(loaded)
    settings.check_pad(loaded, answer)
    settings.check_mask(loaded, answer)
    settings.check_rows(loaded, answer)
    settings.check_budget(loaded, answer)
    settings.check_sampling(loaded, answer, settings.HUB)
    check_no_messages(loaded, "the call", answer.messages)
    settings.check_two_rows_refused(loaded, PROMPT)
    answers.check_front(loaded, answer)


def test_a_sure_model_leaves_sampling_no_choice(loaded: LoadedModel) -> None:
    assert choices(answer_of(loaded).logits, temperature=0.6, top_p=0.9) == 1


def test_eos_and_batches_are_judged_sound(loaded: LoadedModel) -> None:
    endless = answer_of(loaded, do_sample=False, eos_token_id=None)
    answers.check_count(loaded, endless, 4, "answer without eos")
    ended = answer_of(loaded, do_sample=False, eos_token_id=endless.new[1])
    answers.check_ends_at(loaded, endless, ended, endless.new[1])
    prompts = [PROMPT, PREFIX + PROMPT]
    singles = [answer_of(loaded, prompt, **ONE).logits for prompt in prompts]
    batch = next_token_logits(loaded.model, loaded.tokenizer, prompts)
    answers.check_batch(loaded, "batch", batch, singles)


def test_recorded_settings_are_what_this_machine_resolves(loaded: LoadedModel) -> None:
    """Llama-3.1's snapshot is made on a GPU; its settings do not depend on the weights."""
    rows = read_snapshot_file(SNAPSHOT).blocks["cuda-nf4"].split("\n")
    assert settings.settings_rows(answer_of(loaded)) == rows


def test_a_rerun_command_ends_the_message(
    loaded: LoadedModel, request: pytest.FixtureRequest
) -> None:
    longer = answer_of(loaded, max_new_tokens=5)
    call = pytest.CallInfo.from_call(lambda: settings.check_budget(loaded, longer), "call")
    report = request.node.ihook.pytest_runtest_makereport(item=request.node, call=call)
    last = report.failure["lines"][-1]
    assert last.startswith("rerun: pytest 'tests/meta/model/test_scripted_models")
