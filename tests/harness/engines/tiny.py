"""Tiny GGUF files: a model's whole vocabulary and metadata around one block of zeros.

What decides ids and prompts is as the published converter writes it; what a model answers is not
there. The file of a pinned folder has a pinned hash.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..data.engines import EngineFile
from ..data.registry import Model
from ..errors import AssetError
from ..files import cache_folder, sha256, sha256_text, write_atomically

Metadata = dict[str, Any]  # by key, in the file's order

_WIDTH = 64  # of every weight; a head of the same size
_UNRANKED = -1e6  # the score of a token that no merge makes
_LAYERS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
_SAMPLING = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 3, 4, 5, 6  # types of tokens


def vocabulary_metadata(folder: Path, model: Model, facts: EngineFile) -> Metadata:
    """The keys that decide ids and prompts, from a tokenizer's folder.

    Scores are minus the rank of the merge that makes the token; ids beyond the vocabulary, which
    only pad the embedding, are unused tokens.
    """
    config, content = (
        json.loads((folder / name).read_bytes())
        for name in ("tokenizer_config.json", "tokenizer.json")
    )
    tokens, types = _tokens(content, model.architecture["vocab_size"], facts.model)
    merges = [m if isinstance(m, str) else " ".join(m) for m in content["model"]["merges"]]
    given: Metadata = {
        "general.name": facts.name,
        "tokenizer.ggml.model": facts.model,
        "tokenizer.ggml.pre": facts.pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
    }
    if facts.model == "llama":
        given["tokenizer.ggml.scores"] = _scores(tokens, merges)
    else:
        given["tokenizer.ggml.merges"] = merges
    ids = {token: number for number, token in enumerate(tokens)}
    # config.json has a BOS where the tokenizer has none: without it the engine takes its own.
    given["tokenizer.ggml.bos_token_id"] = model.architecture["bos_token_id"]
    given["tokenizer.ggml.eos_token_id"] = ids[_text_of(config["eos_token"])]
    if pad := config.get("pad_token"):
        given["tokenizer.ggml.padding_token_id"] = ids[_text_of(pad)]
    for name in ("add_bos_token", "add_eos_token"):
        if isinstance(config.get(name), bool):
            given[f"tokenizer.ggml.{name}"] = config[name]
    if template := config.get("chat_template"):
        given["tokenizer.chat_template"] = template
    return given | _sampling(folder)


def _text_of(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _tokens(content: dict[str, Any], size: int, kind: str) -> tuple[list[str], list[int]]:
    added = {token["id"]: token for token in content["added_tokens"]}
    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [_UNUSED] * size
    for token, number in content["model"]["vocab"].items():
        is_byte = kind == "llama" and len(token) == 6 and token.startswith("<0x")
        tokens[number], types[number] = token, _BYTE if is_byte else _NORMAL
    for number, token in added.items():
        tokens[number] = token["content"]
        types[number] = _CONTROL if token["special"] else _USER_DEFINED
    return tokens, types


def _scores(tokens: list[str], merges: list[str]) -> list[float]:
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", ""), rank)
    return [float(-ranks[token]) if token in ranks else _UNRANKED for token in tokens]


def _sampling(folder: Path) -> Metadata:
    """The settings of generation_config.json that the engine has, if the model samples."""
    path = folder / "generation_config.json"
    settings = json.loads(path.read_bytes()) if path.is_file() else {}
    if not settings.get("do_sample"):
        return {}
    pairs = ((f"general.sampling.{key}", settings.get(name)) for key, name in _SAMPLING.items())
    return {key: value for key, value in pairs if value is not None}


def write_tiny(
    target: Path,
    model: Model,
    given: Mapping[str, Any],
    types: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """Write a GGUF of these keys, one block of width 64 and an embedding for every token.

    `types` are the format's numbers of the keys' types, where another file has them.
    """
    import numpy
    from gguf import GGUFValueType, GGUFWriter

    size = len(given["tokenizer.ggml.tokens"])
    writer = GGUFWriter(target, "llama")
    for key, value in {
        "block_count": 1,
        "context_length": min(model.architecture["max_position_embeddings"], 1 << 17),
        "embedding_length": _WIDTH,
        "feed_forward_length": _WIDTH,
        "attention.head_count": 1,
        "attention.head_count_kv": 1,
        "rope.dimension_count": _WIDTH,
        "vocab_size": size,
    }.items():
        writer.add_uint32(f"llama.{key}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    for key, value in given.items():
        if types is not None:
            kind_of, *inner = map(GGUFValueType, types[key])
            writer.add_key_value(key, value, kind_of, inner[0] if inner else None)
        elif isinstance(value, list):
            kind = GGUFValueType.INT32 if key.endswith("token_type") else None
            writer.add_key_value(key, value, GGUFValueType.ARRAY, kind)
        else:
            whole = isinstance(value, int) and not isinstance(value, bool)
            writer.add_key_value(
                key, value, GGUFValueType.UINT32 if whole else GGUFValueType.get_type(value)
            )
    writer.add_tensor("token_embd.weight", numpy.zeros((size, _WIDTH), numpy.float16))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", numpy.ones(_WIDTH, numpy.float32))
    for name in _LAYERS:
        weight = numpy.zeros((_WIDTH, _WIDTH), numpy.float16)
        writer.add_tensor(f"blk.0.{name}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tiny_file(folder: Path, model: Model, facts: EngineFile, pinned: bool) -> Path:
    """The model's tiny file in the cache, written if it is not there.

    `pinned`: whether the folder's files are the registry's, so that the hash must be the pinned
    one. AssetError if it is not, or if there is no space.
    """
    home = cache_folder() / "engines"
    names = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
    parts = [sha256(folder / name) for name in names if (folder / name).is_file()]
    state = sha256_text("\n".join([*parts, repr(facts), repr(model.architecture)]))
    file = home / f"{model.key}-{state[:12]}.gguf"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f".{model.key}.lock"):
            if not (file.is_file() and (not pinned or sha256(file) == facts.sha256)):
                given = vocabulary_metadata(folder, model, facts)
                write_atomically(file, lambda path: write_tiny(path, model, given))
    except OSError as error:
        raise AssetError(
            f"{model.key}: its GGUF cannot be written in {home}: {error.strerror or error}; free "
            "100 MB there or set MODEL_CONFORMANCE_CACHE to a folder that can be written"
        ) from None
    if pinned and (digest := sha256(file)) != facts.sha256:
        raise AssetError(
            f"{model.key}: its GGUF has sha256 {digest}, pinned is {facts.sha256}: "
            "fixtures/engines.toml is wrong, or another version of gguf or numpy wrote it"
        )
    return file
