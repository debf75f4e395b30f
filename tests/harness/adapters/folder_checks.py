"""Judges an adapter's folder: its base, its settings, its tensors, and the tokenizer beside it."""

from pathlib import Path

from ..data.registry import Model
from ..errors import AssetError, fail
from ..sources.shards import digests, tensor_files
from .folder import WEIGHTS, Adapter, known_of
from .settings import CONFIG

_MAIN = (None, "", "main")  # revisions that say nothing


def check_base(adapter: Adapter) -> None:
    """Fail unless `adapter_config.json` names this base and its pinned revision.

    Of a base that is named by a folder, the weights must be those that the registry pins.
    """
    model, settings, known = adapter.base, adapter.settings, known_of(adapter.base)
    names = [name for name in (model.hub_id, *known.base_names, known.given.base) if name]
    where = f"{CONFIG} in {adapter.folder}"
    if settings.base not in names:
        if cause := _why_other(settings.base, model):
            fail(
                adapter.label,
                f"{where}: base_model_name_or_path is {settings.base!r}, expected "
                f"{' or '.join(map(repr, names))}",
                cause=cause,
            )
    elif model.revision and settings.revision not in (*_MAIN, model.revision):
        fail(
            adapter.label,
            f"{where}: revision is {settings.revision!r}, expected {model.revision!r}",
            cause="it was trained on another revision of its base",
        )


def _why_other(named: str, model: Model) -> str:
    """Why what is named is not the base; empty if it is a folder that holds the pinned weights."""
    folder = Path(named)
    declare = "; if this is the base under another name, declare it in fixtures/adapters.toml"
    try:
        is_there = bool(named) and folder.is_dir()
        held = sorted(set(tensor_files(folder).values())) if is_there else []
    except (AssetError, OSError, ValueError):
        held = []
    if not held:
        return f"it was trained on another base{declare}"
    pinned = {pin.sha256 for name, pin in model.weights.items() if name.endswith(".safetensors")}
    same = set(digests(held).values()) == pinned
    return "" if same else f"that folder holds other weights than the base's{declare}"


def check_declared(adapter: Adapter) -> None:
    """Fail unless rank, alpha, scaling, targets and dtype are those declared for it."""
    facts, settings = adapter.facts, adapter.settings
    dtypes = sorted({one.dtype for one in adapter.tensors.values()})
    targets = settings.targets if isinstance(settings.targets, str) else sorted(settings.targets)
    rows = {
        "r": (settings.rank, facts.rank, "another rank"),
        "lora_alpha": (settings.alpha, facts.alpha, "another scale"),
        "use_rslora": (settings.rslora, facts.rslora, "another scale"),
        "target_modules": (targets, facts.targets and sorted(facts.targets), "other targets"),
        WEIGHTS: (dtypes, facts.dtype and [facts.dtype], "another dtype"),
    }
    for key, (got, expected, other) in rows.items():
        if expected is not None and got != expected:
            fail(
                adapter.label,
                f"{key} is {got}, declared is {expected}",
                cause=f"the adapter was saved with {other} than fixtures/adapters.toml says",
            )


def check_file(adapter: Adapter) -> None:
    """Fail unless the file holds the two matrices of every target, of its shape, and no other."""
    held = {name: one.shape for name, one in adapter.tensors.items()}
    expected = adapter.expected
    if not expected:
        fail(
            adapter.label,
            f"{CONFIG}: target_modules {adapter.settings.targets} name no layer of the base",
            cause="it is of another architecture",
        )
    missing = [name for name in expected if name not in held]
    extra = [name for name in held if name not in expected]
    wrong = [name for name in expected if name in held and held[name] != expected[name]]
    if not (missing or extra or wrong):
        return
    lines = [
        *(f"{name} is missing" for name in missing),
        *(f"{name} is of no target" for name in extra),
        *(f"{name} is {_by(held[name])}, expected {_by(expected[name])}" for name in wrong),
    ]
    causes = {
        "a target was not saved: peft leaves it without effect": missing,
        "a layer that the settings do not name was trained: peft leaves its tensors out": extra,
        "it is of another base, or of another rank": wrong,
    }
    fail(
        adapter.label,
        f"{WEIGHTS}: {lines[0]} ({len(lines)} such tensors of {len(expected)})",
        *lines[1:10],
        cause=next(cause for cause, names in causes.items() if names),
    )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def check_values(adapter: Adapter) -> None:
    """Fail for a matrix that is all zero, or holds what is no number."""
    zero, broken = list[str](), list[str]()
    held = set(adapter.tensors)
    if not held >= set(adapter.expected):
        return  # another contract names what is missing
    for layer, a, b in adapter.matrices("cpu"):
        for part, matrix in (("lora_A", a), ("lora_B", b)):
            if not bool(matrix.isfinite().all()):
                broken.append(f"{layer}.{part}")
            elif not bool(matrix.any()):
                zero.append(f"{layer}.{part}")
    count = 2 * len(adapter.targets)
    if broken:
        fail(
            adapter.label,
            f"{broken[0]} holds NaN or infinite values ({len(broken)} of {count} matrices)",
            cause="training diverged, or the file is damaged",
        )
    if zero:
        fail(
            adapter.label,
            f"{zero[0]} is all zero ({len(zero)} of {count} matrices)",
            cause="it was saved before training, or its layers were frozen: it changes nothing",
        )


def check_tokenizer(adapter: Adapter, differences: dict[str, str]) -> None:
    """Fail for a difference of the saved tokenizer from the base's that is not declared."""
    declared = known_of(adapter.base).tokenizer
    if undeclared := [name for name in differences if name not in declared]:
        first = undeclared[0]
        fail(
            adapter.label,
            f"the tokenizer saved beside it: {first} {differences[first]} "
            f"({len(undeclared)} such differences)",
            *(f"{name}: {differences[name]}" for name in undeclared[1:10]),
            cause="it was trained with another tokenizer; if that is meant, declare it in "
            f"fixtures/adapters.toml: [{adapter.base.key}.tokenizer]",
        )
