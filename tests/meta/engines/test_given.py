"""A GGUF of one's own: what differs is named by its key, what would do harm in one line."""

import os
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.data.engines import DEFAULT, engines
from tests.harness.data.registry import registry
from tests.harness.engines import given
from tests.harness.engines.given import copy_given
from tests.harness.engines.tiny import Metadata, vocabulary_metadata, write_tiny
from tests.harness.errors import AssetError
from tests.harness.text import MISLEADING
from tests.meta.conftest import run_pytest
from tests.meta.support.llama_cpp_vectors import FILES, llama_cpp_folder

ENGINE = engines()[DEFAULT]
PHI3 = registry()["phi3"]
FRONT = "tokenizer.ggml."


@pytest.fixture(scope="session")
def metadata(bundle: dict[str, Path]) -> Metadata:
    """The keys of Phi-3's file."""
    return vocabulary_metadata(bundle["phi3"], PHI3, ENGINE.files["phi3"])


def changed(key: str, value: object) -> Callable[[Path, Metadata], None]:
    """A file with another value of a key."""

    def make(path: Path, metadata: Metadata) -> None:
        write_tiny(path, PHI3, {**metadata, key: value})

    return make


def bytes_changed(change: Callable[[bytes], bytes]) -> Callable[[Path, Metadata], None]:
    """A file with other bytes."""

    def make(path: Path, metadata: Metadata) -> None:
        write_tiny(path, PHI3, metadata)
        path.write_bytes(change(path.read_bytes()))

    return make


def in_place(old: bytes, new: bytes) -> Callable[[Path, Metadata], None]:
    """A file in which bytes were overwritten, once."""
    assert len(old) == len(new)
    return bytes_changed(lambda content: content.replace(old, new, 1))


def pipe(path: Path, _: Metadata) -> None:
    """No file, but what waits for a writer."""
    os.mkfifo(path)


TOKENS = f"{FRONT}tokens".encode()
KEY = len(TOKENS)
HEAVY = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}"
HOSTILE: dict[str, tuple[Callable[[Path, Metadata], None], str]] = {
    "pipe": (pipe, "is no regular file"),
    "empty": (bytes_changed(lambda _: b""), "has 0 bytes, which is no GGUF file"),
    "other_magic": (in_place(b"GGUF", b"FUGG"), "does not begin as a GGUF file does"),
    "version": (
        bytes_changed(lambda c: c[:4] + struct.pack("<I", 99) + c[8:]),
        "is of version 99 of the format",
    ),
    "cut": (bytes_changed(lambda c: c[: len(c) // 8]), "goes on behind the end of the file"),
    "weights_cut": (bytes_changed(lambda c: c[:-400_000]), "lies behind the end of the file"),
    "many_keys": (
        bytes_changed(lambda c: c[:16] + struct.pack("<Q", 1 << 60) + c[24:]),
        " keys, and at most 4,096 are allowed",
    ),
    "many_tensors": (
        bytes_changed(lambda c: c[:8] + struct.pack("<Q", 1 << 60) + c[16:]),
        " tensors, and at most 65,536 are allowed",
    ),
    "long_text": (
        in_place(
            TOKENS + struct.pack("<IIQQ", 9, 8, 32064, 5),
            TOKENS + struct.pack("<IIQQ", 9, 8, 32064, 1 << 62),
        ),
        f"{FRONT}tokens has 0 of 32,064 texts",
    ),
    "many_values": (
        in_place(
            TOKENS + struct.pack("<IIQ", 9, 8, 32064),
            TOKENS + struct.pack("<IIQ", 9, 8, 1 << 62),
        ),
        f"{FRONT}tokens has 4,611,686,018,427,387,904 values",
    ),
    "array_of_arrays": (
        in_place(TOKENS + struct.pack("<II", 9, 8), TOKENS + struct.pack("<II", 9, 9)),
        f"{FRONT}tokens is an array of the type 9",
    ),
    "unknown_type": (
        in_place(TOKENS + struct.pack("<I", 9), TOKENS + struct.pack("<I", 77)),
        f"{FRONT}tokens has the type 77",
    ),
    "no_utf8": (
        in_place(b"Phi-3-mini", b"Phi-3-min\xff"),
        "general.name has a text that is no UTF-8",
    ),
    "key_twice": (
        in_place(f"{FRONT}add_bos_token".encode(), f"{FRONT}add_eos_token".encode()),
        f"{FRONT}add_eos_token stands twice",
    ),
    "scores_short": (changed(f"{FRONT}scores", [0.0] * 9), "has 9 values for 32,064 tokens"),
    "types_of_text": (changed(f"{FRONT}merges", [1, 2]), f"{FRONT}merges is no list of str"),
    "bos_beyond": (
        changed(f"{FRONT}bos_token_id", 4_000_000_000),
        f"{FRONT}bos_token_id is 4000000000, which is no token's id",
    ),
    "other_kind": (changed(f"{FRONT}model", "nothing"), "makes llama.cpp fail"),
    "endless_template": (changed("tokenizer.chat_template", HEAVY), "makes llama.cpp fail"),
}
SLOW = ("endless_template",)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in HOSTILE]
)
def test_what_would_do_harm_is_one_line(
    name: str, metadata: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, says = HOSTILE[name]
    monkeypatch.setattr(given, "_LIMITS", replace(given._LIMITS, cpu=6))
    make(tmp_path / "bad.gguf", metadata)
    started = time.monotonic()
    with pytest.raises(AssetError) as caught:
        copy_given(tmp_path / "bad.gguf", PHI3, ENGINE, tmp_path / "copy.gguf")
    assert time.monotonic() - started < 100
    line = str(caught.value)
    assert line.startswith("phi3: bad.gguf in ")
    assert says in line
    assert line.endswith(": convert it anew, or leave out --gguf phi3")
    assert not MISLEADING.search(line)
    assert "\n" not in line


# The vocabulary files that the bundle is built from, and what is old in them.
OLD = {
    "phi3": (
        "tokenizer.chat_template has ",
        "tokenizer.ggml.add_bos_token is True, pinned False",
    ),
    "llama3_1": (
        "tokenizer.ggml.tokens has '<|reserved_special_token_2|>' at 128004, pinned "
        "'<|finetune_right_pad_id|>'",
    ),
    "starcoder2": (),
}


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=[] if key == "phi3" else [pytest.mark.slow]) for key in OLD]
)
def test_what_is_old_is_named(key: str, bundle: dict[str, Path]) -> None:
    file = llama_cpp_folder() / FILES[key]
    options = ("tests/serving", "--models", key, "--gguf", f"{key}={file}", "-q")
    run = run_pytest(*options)
    assert run.code == bool(OLD[key]), run.out[-2000:]
    for said in OLD[key]:
        assert run.line(f"{key} {file.name}: {said}")


def test_one_cause_is_told_once(metadata: Metadata, tmp_path: Path) -> None:
    """In full by the first test that it breaks, in one line by the others, and with its count."""
    file = tmp_path / "with_bos.gguf"
    write_tiny(file, PHI3, {**metadata, f"{FRONT}add_bos_token": True})
    asked = ("tests/serving/test_ids.py", "tests/serving/test_settings.py", "--models", "phi3")
    run = run_pytest(*asked, "--gguf", f"phi3={file}")
    cause = f"likely cause: {FRONT}add_bos_token is True, pinned False"
    assert run.line("phi3: 130 failures, ") == f"phi3: 130 failures, {cause}"
    assert run.out.count("rerun: ") == 2, "the key itself, and the first text"


def test_wrong_option_is_one_line(tmp_path: Path) -> None:
    for option, says in {
        "phi4=x.gguf": "--gguf phi4=x.gguf: write KEY=FILE; did you mean phi3? allowed are ",
        "phi3=none.gguf": "--gguf phi3=none.gguf: there is no file none.gguf",
    }.items():
        run = run_pytest("tests/serving", "--gguf", option, cwd=Path.cwd())
        assert run.code == 4
        assert run.line(f"ERROR: {says}")


def test_a_file_that_may_not_be_served_is_one_failure(tmp_path: Path) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(b"GGUF" + bytes(40))
    run = run_pytest("tests/serving", "--models", "phi3", "--gguf", f"phi3={file}", "-q")
    assert run.code == 1
    assert run.line("phi3: bad.gguf in ")
    assert run.line("739 skipped, 1 error")
