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
# `tools`: the template writes the functions it is given. Some have more: results that are objects
# as JSON, and arguments of their own, by name.
Capability = Literal[
    "bos",
    "chat",
    "system",
    "tools",
    "json_results",
    "date_string",
    "builtin_tools",
    "tools_in_user_message",
    "single_token_prices",
]
Device = Literal["cpu", "cuda"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Place = Literal["tokenizer_config.json", "chat_template.jinja"]
# What a template does to a message's ends: Python's own words, or `newlines` alone in front.
Trim = Literal["strip", "lstrip", "rstrip", "newlines"]
# How a template frames messages: fields of `Model`.
FRAMES = (
    *("turn", "opening", "tool_preamble", "trims_content", "generation_prompt"),
    *("conversation_end", "default_system", "edges", "trims", "unframed"),
    *("follows_clock", "switches", "functions"),
)
# How functions and their texts are written: as a form of JSON, by Python, as they are, or what is
# said of the function as it is and what is said of its parameters as JSON.
Notation = Literal[
    "json", "json 2", "json 4", "compact", "sorted", "ascii", "python", "plain", "plain and json"
]
# What a fine-tune does not take from its base.
_OWN = (
    *("hub_id", "revision", "files", "weights", "quantized_on", "price_mass", "left_out"),
    *("proof", "on_request"),
)
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
    merges: int  # 0 for Unigram and WordPiece, which have none
    merges_sha256: Sha256  # of "left right<LF>" in rank order, UTF-8
    model_max_length: int
    padding_side: Literal["left", "right"]
    clean_up: bool  # clean_up_tokenization_spaces
    truncation_side: Literal["left", "right"] = "right"
    # Ids around a text, and between the texts of a pair, where BOS alone does not say them.
    front: tuple[int, ...] | None = None
    behind: tuple[int, ...] = ()
    between: tuple[int, ...] | None = None
    bos: int | None = None
    eos: int | None = None
    pad: int | None = None
    unk: int | None = None
    template_sha256: Sha256 | None = None  # of the chat template's text, UTF-8
    template_place: Place = "tokenizer_config.json"  # the file that holds it


@dataclass(frozen=True, config=STRICT)
class Functions:
    """How a template writes functions; placeholders are filled in, other braces are text."""

    prompt: str  # of one user's message, its {content} and the {functions}
    each: str  # a {tool} or its {function}; else one with a {parameter} of text, and its {meaning}
    between: str
    notation: Notation
    empty: str  # the prompt with an empty list; empty if that is no list


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
    # Of a model that the bundle builds and no published hash proves: what does. llama.cpp's
    # vectors of its vocabulary are compared in tests/meta.
    proof: Literal["vectors"] | None = None
    on_request: bool = False  # tested only where `--models` names it, or says `all`
    default_system: str | None = None  # the system message a template adds by itself
    turn: str | None = None  # how a template frames a message: its {role} and {content}
    # Text before the turns, with the system's message as {system} and {environment} for tools.
    opening: str = ""
    tool_preamble: str = ""  # what a template says before the functions that it is given
    trims_content: bool = False  # whether the template trims every message
    generation_prompt: str | None = None  # what add_generation_prompt appends
    conversation_end: str = ""  # what is in its place without add_generation_prompt
    # In place of `turn`, where a frame depends on its neighbours: the text between two contents by
    # `ROLE > ROLE`, with `start`, `end` and, with add_generation_prompt, `prompt` for roles, and
    # `ROLE > ROLE > end` if the second is the last one. Braces are not doubled.
    edges: dict[str, str] = field(default_factory=dict)
    trims: dict[str, Trim] = field(default_factory=dict)  # by role, beside `edges`
    unframed: str = ""  # why neither can say how the template writes a conversation
    follows_clock: bool = False  # whether it writes today's date, which is then fixed for cases
    # What follows "Hi" in its prompt under an argument of the template's own, by `name=JSON`.
    switches: dict[str, str] = field(default_factory=dict)
    functions: Functions | None = None  # None: no template, or one that these fields cannot express
    single_token_numbers: tuple[int, int] = (0, 0)  # of 0..999: alone, after "Price is $"
    # Least probability, with trained weights, that a price token follows the price prompt.
    price_mass: float | None = None
    quantized_on: tuple[Device, ...] = ()  # devices on which tests/quantized loads the model
    weights: dict[str, PinnedFile] = field(default_factory=dict)  # safetensors and their index
    # The model this one was trained from: what its table leaves out is as there, and what the cases
    # declare for that one holds for this one, of conversations if the template is the same.
    based_on: str = ""
    # What the base has and this one has not: keys of config.json, `tokenizer.pad` and the like.
    left_out: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()  # filled in: the model that it is based on, that one's, and so on
    chat_bases: tuple[str, ...] = ()  # filled in: those of them with the same template

    def __post_init__(self) -> None:
        """ValueError for facts that contradict each other, or that the tests miss."""
        if self.revision and not self.hub_id:
            raise ValueError("a revision needs its hub_id")
        if not self.can("chat") or self.unframed:
            return
        if self.turn is None and not self.edges:
            raise ValueError("chat needs turn and generation_prompt, or edges, or unframed")
        if self.turn is not None and self.generation_prompt is None:
            raise ValueError("chat needs turn and generation_prompt")

    def can(self, *needs: str) -> bool:
        """Whether the model declares all the named capabilities."""
        return set(needs) <= set(self.capabilities)

    def opens_answers(self) -> bool:
        """Whether `add_generation_prompt` adds anything, as far as the frames say."""
        if self.edges:
            prompts = {name: text for name, text in self.edges.items() if name.endswith("prompt")}
            ends = [self.edges.get(f"{name.removesuffix('prompt')}end") for name in prompts]
            return list(prompts.values()) != ends
        return self.generation_prompt != self.conversation_end

    def closes_answers(self) -> bool:
        """Whether the template writes anything behind a last answer, as far as the frames say."""
        if self.edges:
            closed = [text for name, text in self.edges.items() if name.endswith("assistant > end")]
            return any(closed) or not closed
        close = (self.turn or "{content}more").partition("{content}")[2]
        return bool(close or self.conversation_end)

    def checkpoint(self) -> dict[str, PinnedFile]:
        """The files a model is loaded from: its configuration and its weights, no tokenizer."""
        names = ("config.json", "generation_config.json")
        return {name: self.files[name] for name in names if name in self.files} | self.weights


def read_registry(path: Path = REGISTRY) -> dict[str, Model]:
    """All models by key, in the file's order; DataError names model and key."""
    tables = read_tables(path)
    if not tables:
        raise DataError(f"{path.parent.name}/{path.name}: there is no model")
    return {key: model_of(key, tables, path) for key in tables}


def model_of(key: str, tables: dict[str, dict[str, Any]], path: Path = REGISTRY) -> Model:
    """One model of a registry's tables, with what it takes from its bases; DataError as above."""
    place, bases = f"{path.parent.name}/{path.name}: [{key}]", _bases(key, tables, path)
    whole = [_inherited([key, *bases][at:], tables) for at in range(len(bases) + 1)]
    template = [table.get("tokenizer", {}).get("template_sha256") for table in whole]
    same = [base for base, sha in zip(bases, template[1:], strict=True) if sha == template[0]]
    table = {**whole[0], "key": key, "bases": bases, "chat_bases": same}
    model = parse(Model, table, path, key)
    if missing := ", ".join(sorted(_NEEDED - set(model.files))):
        raise DataError(f"{place} files: {missing} is missing")
    return model


def _bases(key: str, tables: dict[str, dict[str, Any]], path: Path) -> list[str]:
    """The keys of the models that one is based on, the nearest first."""
    bases: list[str] = []
    while base := tables[([key, *bases])[-1]].get("based_on"):
        if base not in tables or base in (key, *bases):
            place = f"{path.parent.name}/{path.name}: [{([key, *bases])[-1]}]"
            raise DataError(f"{place} based_on: {base!r} is no other model of this file")
        bases.append(base)
    return bases


def _inherited(keys: list[str], tables: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A model's table over those of its bases; files, weights and devices are its own."""
    own = tables[keys[0]]
    if len(keys) == 1:
        return own
    base = {k: v for k, v in _inherited(keys[1:], tables).items() if k not in _OWN}
    for part in ("tokenizer", "architecture"):
        base[part] = {**base.get(part, {}), **own.get(part, {})}
    if own.get("tokenizer", {}).get("template_sha256"):  # another template: other frames
        base = {name: value for name, value in base.items() if name not in FRAMES}
    for name in own.get("left_out", ()):
        fact = name.removeprefix("tokenizer.")
        base["architecture" if fact == name else "tokenizer"].pop(fact, None)
    return {**base, **{k: v for k, v in own.items() if k not in ("tokenizer", "architecture")}}


@cache
def registry() -> dict[str, Model]:
    """The project's own registry, read once."""
    return read_registry()


def default_keys() -> list[str]:
    """The models that are tested where none is named."""
    return [key for key, model in registry().items() if not model.on_request]


def _check_model_key(key: str) -> str:
    if key not in registry():
        raise ValueError(f"unknown model {key}: {allowed_values(key, registry())}")
    return key


ModelKey = Annotated[str, AfterValidator(_check_model_key)]
