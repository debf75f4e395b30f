"""Sampling settings: what transformers resolves for a model, in our names."""

import json

from ..tokenizer.loaded import LoadedTokenizer

# By name, with what transformers takes where generation_config.json says nothing.
SAMPLING = {
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
_FILE = "generation_config.json"


def settings_of(tokenizer: LoadedTokenizer) -> tuple[str, ...]:
    """The settings that decide the model's answers: of a model that does not sample, one."""
    return tuple(SAMPLING) if _FILE in tokenizer.spec.files else ("temperature",)


def resolved(tokenizer: LoadedTokenizer, name: str) -> float:
    """What transformers resolves; a temperature of 0 says that the likeliest token is taken."""
    path = tokenizer.folder / _FILE
    given = json.loads(path.read_bytes()) if path.is_file() else {}
    if not given.get("do_sample"):
        return 0.0 if name == "temperature" else SAMPLING[name]
    return float(given.get(name, SAMPLING[name]))
