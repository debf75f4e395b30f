"""The Hugging Face cache: which of the registry's files it holds, and whether they are whole."""

from pathlib import Path

from huggingface_hub import constants

from ..cache import sha256
from ..models import Model, PinnedFile, registry
from .check import Check
from .parts import Part, check_of, half_done

SMALL = 100_000_000  # bytes; larger files are told by their size alone, loading looks at the hash
FETCH = "python -m tests.harness.assets --source hub"


def place(model: Model) -> Path:
    """The model's folder in that cache."""
    return Path(constants.HF_HUB_CACHE) / f"models--{model.hub_id.replace('/', '--')}"


def fault(path: Path, pin: PinnedFile) -> str:
    """What is wrong with a cached file; only a published pin says anything of the hub's file."""
    if not pin.published:
        return ""
    if (size := path.stat().st_size) != pin.bytes:
        return f"truncated or altered: {size:,} of {pin.bytes:,} bytes"
    changed = pin.bytes <= SMALL and sha256(path) != pin.sha256
    return "altered: its sha256 is not the published one" if changed else ""


def part(model: Model) -> tuple[bool, bool, Part]:
    """Whether all tokenizer files, and all weights, are there; and what is wrong."""
    home = place(model)
    snapshot = home / "snapshots" / str(model.revision)
    pins = model.files | model.weights
    held = {name: snapshot / name for name in pins if (snapshot / name).is_file()}
    faults = {name: text for name, path in held.items() if (text := fault(path, pins[name]))}
    option = " --weights" if set(faults) & set(model.weights) else ""
    return (
        set(model.files) <= set(held),
        bool(model.weights) and set(model.weights) <= set(held),
        Part(
            "cache: hub",
            home,
            model.hub_id,
            tuple(f"{name} is {text}" for name, text in faults.items()),
            f"rm -- {' '.join(map(str, (held[name] for name in faults)))}; {FETCH}{option} "
            f"{model.key}",
            leftover=tuple(it for it in sorted((home / "blobs").glob("*")) if half_done(it)),
        ),
    )


def hub_cache() -> list[Check]:
    """A finding for each model with something wrong, and one that says what is there."""
    seen = {m.key: part(m) for m in registry().values() if m.revision}
    wrong = [check_of(it) for _, _, it in seen.values() if it.broken or it.leftover]
    files = [key for key, (whole, _, _) in seen.items() if whole]
    weights = [key for key, (_, whole, _) in seen.items() if whole]
    found = f"tokenizer files of {', '.join(files) or 'no model'}, weights of "
    found += f"{', '.join(weights) or 'no model'}, in {constants.HF_HUB_CACHE}"
    mend = "" if files else f"only for --source hub: {FETCH}"
    return [*wrong, Check("cache: hub", "ok", found, mend)]
