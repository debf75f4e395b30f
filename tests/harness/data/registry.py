"""The registry: the facts of each model, from `fixtures/models.toml`."""

from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from ..errors import DataError
from ..files import FIXTURES
from ..text import allowed_values
from .schema import STRICT, parse, read_tables

REGISTRY = FIXTURES / "models.toml"
Capability = Literal["bos", "chat", "system", "tools", "single_token_prices"]
Device = Literal["cpu", "cuda"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
_NEEDED = {"tokenizer.json", "tokenizer_config.json", "config.json"}


@dataclass(frozen=True, config=STRICT)
class PinnedFile:
    """A file of the model's folder.

    `published` says that the hash is the hub's own, so that it holds for every source; otherwise
    it is the hash of what the bundle builds, and the hub's file may differ.
    """

    sha256: Sha256
    bytes: int
    published: bool


@dataclass(frozen=True, config=STRICT)
class TokenizerFacts:
    """What a loaded tokenizer must declare; a token id is None where there is no such token."""

    json_class: str  # `tokenizer_class` of tokenizer_config.json
    vocabulary_size: int  # len(tokenizer), added tokens included
    vocabulary_sha256: Sha256  # of "id<TAB>token<LF>" over all ids, UTF-8
    merges: int
    merges_sha256: Sha256  # of "left right<LF>" in rank order, UTF-8
    model_max_length: int
    padding_side: Literal["left", "right"]
    clean_up: bool  # clean_up_tokenization_spaces
    truncation_side: Literal["left", "right"] = "right"
    bos: int | None = None
    eos: int | None = None
    pad: int | None = None
    unk: int | None = None
    template_sha256: Sha256 | None = None  # of the chat template's text, UTF-8


@dataclass(frozen=True, config=STRICT)
class Model:
    """One model of the registry; `key` is its table's name."""

    key: str
    capabilities: tuple[Capability, ...]
    tokenizer: TokenizerFacts
    architecture: dict[str, Any]  # config.json, keys in the file's order
    files: dict[str, PinnedFile]
    hub_id: str = ""  # empty: there is no repository
    revision: Revision | None = None  # None: the model does not come from the hub
    default_system: str | None = None  # the system message a template adds by itself
    turn: str | None = None  # how a template frames a message: its {role} and {content}
    # Text before the turns, with the system's message as {system} and {environment} for tools.
    opening: str = ""
    tool_preamble: str = ""  # what a template says before the functions that it is given
    trims_content: bool = False  # whether the template trims every message
    generation_prompt: str | None = None  # what add_generation_prompt appends
    conversation_end: str = ""  # what is in its place without add_generation_prompt
    single_token_numbers: tuple[int, int] = (0, 0)  # of 0..999: alone, after "Price is $"
    # Least probability, with trained weights, that a price token follows the price prompt.
    price_mass: float | None = None
    quantized_on: tuple[Device, ...] = ()  # devices on which tests/quantized loads the model
    weights: dict[str, PinnedFile] = field(default_factory=dict)  # safetensors and their index

    def __post_init__(self) -> None:
        """ValueError for facts that contradict each other, or that the tests miss."""
        if self.revision and not self.hub_id:
            raise ValueError("a revision needs its hub_id")
        if self.can("chat") and (self.turn is None or self.generation_prompt is None):
            raise ValueError("chat needs turn and generation_prompt")

    def can(self, *needs: str) -> bool:
        """Whether the model declares all the named capabilities."""
        return set(needs) <= set(self.capabilities)

    def checkpoint(self) -> dict[str, PinnedFile]:
        """The files a model is loaded from: its configuration and its weights, no tokenizer."""
        names = ("config.json", "generation_config.json")
        return {name: self.files[name] for name in names if name in self.files} | self.weights


def read_registry(path: Path = REGISTRY) -> dict[str, Model]:
    """All models by key, in the file's order; DataError names model and key."""
    tables = read_tables(path)
    if not tables:
        raise DataError(f"{path.parent.name}/{path.name}: there is no model")
    models = {key: parse(Model, {**table, "key": key}, path, key) for key, table in tables.items()}
    for key, model in models.items():
        if missing := ", ".join(sorted(_NEEDED - set(model.files))):
            raise DataError(f"{path.parent.name}/{path.name}: [{key}] files: {missing} is missing")
    return models


@cache
def registry() -> dict[str, Model]:
    """The project's own registry, read once."""
    return read_registry()


def _check_model_key(key: str) -> str:
    if key not in registry():
        raise ValueError(f"unknown model {key}: {allowed_values(key, registry())}")
    return key


ModelKey = Annotated[str, AfterValidator(_check_model_key)]
