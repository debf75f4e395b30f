"""Planted faults: each is a real edit of a model's folder, and the real suite must name it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.meta.conftest import run_pytest

BOS = {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}


@dataclass(frozen=True)
class Fault:
    """`edit` changes the value at `path` of a JSON file; the run must print `headline`."""

    name: str
    key: str
    file: str
    path: tuple[str | int, ...]
    edit: Callable[[Any], Any]
    headline: str


def swapped(vocabulary: dict[str, int]) -> dict[str, int]:
    """Two tokens above id 100,000 with each other's ids."""
    names = {index: token for token, index in vocabulary.items()}
    return vocabulary | {names[100_021]: 100_022, names[100_022]: 100_021}


TOKENIZER, CONFIG = "tokenizer.json", "tokenizer_config.json"
FAULTS = [
    Fault(
        "bos_lost",
        "llama3_1",
        TOKENIZER,
        ("post_processor", "processors", 1, "single"),
        lambda parts: parts[1:],
        "one BOS in front and nothing else added: position 0 got 40 'I', expected 128000 "
        "'<|begin_of_text|>'",
    ),
    Fault(
        "bos_twice",
        "llama3_1",
        TOKENIZER,
        ("post_processor", "processors", 1, "single"),
        lambda parts: [BOS, *parts],
        "one BOS in front and nothing else added: position 1 got 128000 '<|begin_of_text|>', "
        "expected 40 'I'",
    ),
    Fault(
        "nfc_dropped",
        "qwen2",
        TOKENIZER,
        ("normalizer",),
        lambda _: None,
        "qwen2: normalizer in tokenizer.json: got None, expected {'type': 'NFC'}",
    ),
    Fault(
        "digits_split_one_by_one",
        "llama3_1",
        TOKENIZER,
        ("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex"),
        lambda pattern: pattern.replace("{1,3}", ""),
        "llama3_1: 10 of the numbers 0..999 are one token alone, declared 1000",
    ),
    Fault(
        "two_ids_swapped",
        "llama3_1",
        TOKENIZER,
        ("model", "vocab"),
        swapped,
        "llama3_1: vocabulary: id 100021 got",
    ),
    Fault(
        "merge_dropped",
        "starcoder2",
        TOKENIZER,
        ("model", "merges"),
        lambda merges: merges[:30_000] + merges[30_001:],
        "starcoder2: merges: 48871, declared 48872; rank 30000 got",
    ),
    Fault(
        "rstrip_cleared",
        "phi3",
        TOKENIZER,
        ("added_tokens", 10, "rstrip"),
        lambda _: False,
        "phi3: added token 32007 in tokenizer.json.rstrip: got False, expected True",
    ),
    Fault(
        "template_date_changed",
        "llama3_1_instruct",
        CONFIG,
        ("chat_template",),
        lambda template: template.replace("26 Jul 2024", "27 Jul 2024"),
        "llama3_1_instruct date: Today Date: character 1 got '7 Jul 2024', expected '6 Jul 2024'",
    ),
    Fault(
        "full_stop_lost",
        "qwen2",
        CONFIG,
        ("chat_template",),
        lambda template: template.replace("assistant.<", "assistant<"),
        "qwen2 default system message: prompt without one: character 46 got '<|im_end|>",
    ),
    Fault(
        "eos_changed",
        "llama3_1_instruct",
        CONFIG,
        ("eos_token",),
        lambda _: "<|end_of_text|>",
        "llama3_1_instruct: eos_token_id: got 128001, expected 128009",
    ),
    Fault(
        "padding_side_flipped",
        "phi3",
        CONFIG,
        ("padding_side",),
        lambda _: "right",
        "phi3: padding_side: got 'right', expected 'left'",
    ),
]


def plant(folder: Path, fault: Fault) -> None:
    """Make the one edit in a copy of the model's folder."""
    path = folder / fault.file
    content = json.loads(path.read_bytes())
    place = content
    for step in fault.path[:-1]:
        place = place[step]
    before = place[fault.path[-1]]
    place[fault.path[-1]] = fault.edit(before)
    assert place[fault.path[-1]] != before, "the fault changes nothing"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_planted_fault_is_named(fault: Fault, model_copy: Callable[[str], Path]) -> None:
    folder = model_copy(fault.key)
    plant(folder, fault)
    run = run_pytest(
        "tests/conformance", "-q", "--models", fault.key, "--model-dir", f"{fault.key}={folder}"
    )
    assert run.code == 1
    assert run.line(fault.headline).startswith(fault.key)
    assert f"{fault.key}: {fault.file} is not the pinned file" in run.out


def test_untouched_copy_is_green(model_copy: Callable[[str], Path]) -> None:
    run = run_pytest(
        "tests/conformance", "--models", "phi3", "--model-dir", f"phi3={model_copy('phi3')}"
    )
    assert run.code == 0, run.out[-2000:]
