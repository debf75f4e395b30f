"""The bundle against llama.cpp's own test vectors: 46 strings, ids recorded for four models.

The llama.cpp project recorded the ids with transformers from the hub's files of Llama-3-8B,
Phi-3-mini (through SentencePiece), Qwen1.5 and StarCoder2, whose vocabularies our models share.
The bundle is built from vocabularies that lie beside them in the same archive; pre-tokenizers,
normalizers, Phi-3's merges and all flags are ours, and that is what this compares.
"""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.harness.text import quote
from tests.meta.support.llama_cpp_vectors import FILES, llama_cpp_folder, mismatch, open_file

SEPARATOR = "\n__ggml_vocab_test__\n"
COUNT = 46


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


@pytest.mark.parametrize("key", FILES)
def test_recorded_ids(key: str, bundle: dict[str, Path], vectors: dict[str, Vectors]) -> None:
    assert len(vectors[key]) == COUNT
    if messages := differences(key, open_file(bundle[key]), vectors[key]):
        pytest.fail("\n".join(messages), pytrace=False)


def test_four_vocabularies(vectors: dict[str, Vectors]) -> None:
    """184 vectors in all: 46 of four vocabularies, the same strings with other ids."""
    distinct = {name: vectors[key] for key, name in FILES.items()}
    assert sum(map(len, distinct.values())) == 4 * COUNT
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
