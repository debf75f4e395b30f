"""`adapter_config.json` of a LoRA adapter: which layers it changes, and by how much."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..examination.content import examine_content, read
from ..examination.entries import UnfitError
from ..memory.architecture import Config, layer_linears

CONFIG = "adapter_config.json"
_LAYER = re.compile(r"\.layers\.(\d+)\.")
# What changes nothing of a trained adapter, whatever it says.
_NEUTRAL = {
    "auto_mapping",
    "eva_config",
    "inference_mode",
    "layers_pattern",
    "loftq_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "task_type",
}
_READ = {
    "base_model_name_or_path",
    "revision",
    "peft_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "rank_pattern",
    "alpha_pattern",
}
# Values of `init_lora_weights` that leave the base as it is; PiSSA and the like change it.
_STARTS = (True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class Target:
    """A linear layer of the base that the adapter changes by scale x B x A."""

    rows: int
    columns: int
    rank: int
    scale: float

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shapes of its two matrices by name: A is (rank, columns), B (rows, rank)."""
        return {"lora_A": (self.rank, self.columns), "lora_B": (self.rows, self.rank)}

    @property
    def parameters(self) -> int:
        """Number of values in both."""
        return self.rank * (self.rows + self.columns)


@dataclass(frozen=True)
class Settings:
    """What `adapter_config.json` says of a LoRA adapter; the names are its keys."""

    base: str
    revision: str | None
    rank: int
    alpha: float
    rslora: bool
    targets: str | tuple[str, ...]  # a pattern, or names at the end of a layer's
    excluded: str | tuple[str, ...]
    layers: tuple[int, ...] | None  # None: all
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]

    def scale(self, name: str) -> float:
        """What the product of a layer's matrices is multiplied with."""
        rank, alpha = self.rank_of(name), float(_by_pattern(self.alpha_pattern, name, self.alpha))
        return alpha / (math.sqrt(rank) if self.rslora else rank)

    def rank_of(self, name: str) -> int:
        """The rank of a layer's matrices."""
        return int(_by_pattern(self.rank_pattern, name, self.rank))

    def changes(self, name: str) -> bool:
        """Whether the settings name this layer; "all-linear" names all but the head."""
        if self.excluded and _matches(self.excluded, name):
            return False
        if self.targets != "all-linear" and not _matches(self.targets, name):
            return False
        layer = _LAYER.search(name)
        return self.layers is None or (layer is not None and int(layer[1]) in self.layers)

    def on(self, config: Config) -> dict[str, Target]:
        """The changed layers of a base by name; `config` is its config.json."""
        return {
            name: Target(linear.rows, linear.columns, self.rank_of(name), self.scale(name))
            for layer in range(config["num_hidden_layers"])
            for linear in layer_linears(config)
            if self.changes(name := f"model.layers.{layer}.{linear.path}")
        }


def _matches(what: str | tuple[str, ...], name: str) -> bool:
    if isinstance(what, str):
        return re.fullmatch(what, name) is not None
    return any(name == end or name.endswith(f".{end}") for end in what)


def _by_pattern(patterns: Mapping[str, Any], name: str, default: Any) -> Any:
    found = (value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", name))
    return next(found, default)


def read_settings(folder: Path) -> Settings:
    """The settings of a LoRA adapter; UnfitError names the key that is wrong or not covered."""
    if not (folder / CONFIG).is_file():
        raise UnfitError(CONFIG, "is missing, so this is no adapter")
    examine_content(folder / CONFIG)
    content = read(folder / CONFIG)
    if (kind := content.get("peft_type")) != "LORA":
        raise UnfitError(CONFIG, f"is {kind!r}, and only LORA is covered", "peft_type")
    for key, value in content.items():
        _check_covered(key, value)
    _check_types(content)
    layers = content.get("layers_to_transform")
    return Settings(
        base=content.get("base_model_name_or_path") or "",
        revision=content.get("revision"),
        rank=content.get("r", 8),
        alpha=content.get("lora_alpha", 8),
        rslora=content.get("use_rslora", False),
        targets=_names(content["target_modules"]),
        excluded=_names(content.get("exclude_modules") or ()),
        layers=None if layers is None else tuple([layers] if isinstance(layers, int) else layers),
        rank_pattern=content.get("rank_pattern") or {},
        alpha_pattern=content.get("alpha_pattern") or {},
    )


def _names(value: Any) -> str | tuple[str, ...]:
    return value if isinstance(value, str) else tuple(value)


def _check_covered(key: str, value: Any) -> None:
    """UnfitError for a setting that changes what an adapter computes and is not checked here."""
    if key in _READ | _NEUTRAL:
        return
    if key == "init_lora_weights":
        if value not in _STARTS:
            what = f"is {value!r}, which changes the base: convert it to a plain LoRA adapter"
            raise UnfitError(CONFIG, what, key)
    elif value and not (key == "bias" and value == "none"):
        raise UnfitError(CONFIG, f"is {value!r:.60}, which these checks do not cover", key)


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 65_536


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(each) is kind for each in value)


def _check_types(content: dict[str, Any]) -> None:
    """UnfitError for the first value that is not of its kind."""
    names = ("a pattern or a list of names", lambda v: _is_pattern(v) or _is_list(v, str))
    checks: dict[str, tuple[str, Any]] = {
        "target_modules": (names[0], lambda value: value and names[1](value)),
        "exclude_modules": (names[0], lambda value: value is None or names[1](value)),
        "r": ("a number from 1 to 65,536", _is_count),
        "lora_alpha": ("a number", _is_number),
        "lora_dropout": ("from 0 to 1", lambda value: _is_number(value) and 0 <= value < 1),
        "use_rslora": ("true or false", lambda value: type(value) is bool),
        "base_model_name_or_path": ("a name", lambda value: isinstance(value, str | None)),
        "revision": ("a revision", lambda value: isinstance(value, str | None)),
        "layers_to_transform": (
            "layers' numbers",
            lambda value: value is None or type(value) is int or _is_list(value, int),
        ),
        "rank_pattern": ("ranks by pattern", lambda value: _is_table(value, _is_count)),
        "alpha_pattern": ("numbers by pattern", lambda value: _is_table(value, _is_number)),
    }
    for key, (expected, is_right) in checks.items():
        if key not in content and key != "target_modules":
            continue
        value = content.get(key)
        if not is_right(value):
            raise UnfitError(CONFIG, f"is {value!r:.60}, expected {expected}", key)


def _is_table(value: Any, is_right: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and all(_is_pattern(k) and is_right(value[k]) for k in value)


def _is_pattern(value: Any) -> bool:
    """Whether a text is a regular expression that is short and takes no time by repeats."""
    if not isinstance(value, str) or len(value) > 1_000:
        return False
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError):
        return False
    return not re.search(r"[*+}]\)[*+{]", value)
