"""The bundle against llama.cpp's own test vectors: 46 strings, ids recorded for four models.

The llama.cpp project recorded the ids with transformers from the hub's files of Llama-3-8B,
Phi-3-mini (through SentencePiece), Qwen1.5 and StarCoder2, whose vocabularies our models share.
The bundle is built from vocabularies that lie beside them in the same archive; pre-tokenizers,
normalizers, Phi-3's merges and all flags are ours, and that is what this compares.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.harness.text import quote
from tests.meta.support.llama_cpp_vectors import FILES, llama_cpp_folder, mismatch, open_file

SEPARATOR = "\n__ggml_vocab_test__\n"
COUNT = 46


@dataclass(frozen=True)
class Vector:
    """A string and the ids it must give."""

    text: str
    ids: tuple[int, ...]


def read_vectors(folder: Path, name: str) -> list[Vector]:
    """The strings and ids of one vocabulary."""
    # The strings hold CR; a text reader with its usual newline handling would change them.
    with (folder / f"{name}.inp").open(encoding="utf-8", newline="") as stream:
        texts = stream.read().removesuffix(SEPARATOR).split(SEPARATOR)
    lines = (folder / f"{name}.out").read_text(encoding="ascii").removesuffix("\n").split("\n")
    ids = [tuple(map(int, line.split())) for line in lines]
    return [Vector(text, row) for text, row in zip(texts, ids, strict=True)]


def differences(key: str, tokenizer: Tokenizer, vectors: list[Vector]) -> list[str]:
    """A message for every vector that gives other ids."""
    messages = []
    for number, vector in enumerate(vectors, 1):
        title = f"{key} vector {number} of {len(vectors)} {quote(vector.text)}"
        ids = tokenizer.encode(vector.text, add_special_tokens=False).ids
        messages.append(mismatch(title, tokenizer, ids, list(vector.ids), "recorded"))
    return [message for message in messages if message]


@pytest.fixture(scope="session")
def vectors() -> dict[str, list[Vector]]:
    """The vectors by model."""
    folder = llama_cpp_folder()
    return {key: read_vectors(folder, name) for key, name in FILES.items()}


@pytest.mark.parametrize("key", FILES)
def test_recorded_ids(key: str, bundle: dict[str, Path], vectors: dict[str, list[Vector]]) -> None:
    assert len(vectors[key]) == COUNT
    if messages := differences(key, open_file(bundle[key]), vectors[key]):
        pytest.fail("\n".join(messages), pytrace=False)


def test_four_vocabularies(vectors: dict[str, list[Vector]]) -> None:
    """184 vectors in all: 46 of four vocabularies, the same strings with other ids."""
    distinct = {name: vectors[key] for key, name in FILES.items()}
    assert sum(map(len, distinct.values())) == 4 * COUNT
    assert len({tuple(vector.text for vector in listed) for listed in distinct.values()}) == 1
    assert len({tuple(vector.ids for vector in listed) for listed in distinct.values()}) == 4


def test_a_wrong_id_is_reported(bundle: dict[str, Path], vectors: dict[str, list[Vector]]) -> None:
    changed = list(vectors["qwen2"])
    index = next(i for i, vector in enumerate(changed) if vector.text == "Hello world")
    changed[index] = Vector("Hello world", (*changed[index].ids[:-1], 0))
    messages = differences("qwen2", open_file(bundle["qwen2"]), changed)
    assert [line.splitlines()[0] for line in messages] == [
        f"qwen2 vector {index + 1} of 46 'Hello world': position 1 got 1879 'Ġworld', "
        "recorded 0 '!'"
    ]
