"""Our own cache: the bundle, weights, environments and results of the drift report."""

import re
from pathlib import Path

from ..bundle import folder_of
from ..cache import cache_folder, sha256
from ..checkpoints import SUMS, damaged
from ..drift.environments import MARKER
from ..models import Model, registry
from .check import Check
from .parts import Part, check_of, entries, half_done

PARTS = ("bundle", "weights", "environments", "drift")
BUILD = "python -m tests.harness.assets"


def fault(folder: Path, model: Model) -> str:
    """The first file of a model's folder that is not the pinned one; empty if all are."""
    held = {path.name for path in folder.iterdir()}
    for name, pin in model.files.items():
        path = folder / name
        if name not in held:
            return f"{model.key}: {name} is missing"
        if (bytes_there := path.stat().st_size) != pin.bytes:
            how = "truncated" if bytes_there < pin.bytes else "altered"
            return f"{model.key}: {name} is {how}: {bytes_there:,} of {pin.bytes:,} bytes"
        if sha256(path) != pin.sha256:
            return f"{model.key}: {name} is altered: its sha256 is not the pinned one"
    extra = sorted(held - set(model.files))
    return f"{model.key}: {extra[0]!a} does not belong there" if extra else ""


def bundle_part() -> Part:
    """The models' folders."""
    home = cache_folder() / "bundle"
    folders = {folder_of(model): model for model in registry().values()}
    faults = {m.key: fault(path, m) for path, m in folders.items() if path.is_dir()}
    broken = {key: text for key, text in faults.items() if text}
    ready = f"{len(faults) - len(broken)} of {len(folders)} models ready"
    rest = [path for path in entries(home) if path not in folders]
    return Part(
        "cache: bundle",
        home,
        ready if len(faults) == len(folders) else f"{ready} (`{BUILD}` makes the others)",
        tuple(broken.values()),
        f"{BUILD} {' '.join(broken)}",
        *sorted_out(rest, r"\w+-[0-9a-f]{12}"),
    )


def sorted_out(paths: list[Path], ours: str) -> tuple[tuple[Path, ...], ...]:
    """Leftovers, then what a name like ours shows to be of another version, then the unknown."""
    leftover = [path for path in paths if half_done(path)]
    rest = [path for path in paths if path not in leftover]
    spare = [path for path in rest if re.fullmatch(ours, path.name)]
    return tuple(leftover), tuple(spare), tuple(path for path in rest if path not in spare)


def weights_part() -> Part:
    """Checkpoints that were built here."""
    home = cache_folder() / "weights"
    paths = [path for path in entries(home) if path.name != "hashes.json"]
    built = [path for path in paths if (path / SUMS).is_file()]
    broken = {path: text for path in built if (text := damaged(path))}
    # A checkpoint is moved in place whole: one without its sums is none of ours, or was emptied.
    leftover, spare, unknown = sorted_out([it for it in paths if it not in built], r"$^")
    return Part(
        "cache: weights",
        home,
        f"{len(built) - len(broken)} checkpoints",
        tuple(f"{path.name}: {text}" for path, text in broken.items()),
        "pytest tests/quantized (it builds them again)",
        leftover,
        spare,
        unknown,
    )


def environments_part() -> Part:
    """Environments of the drift report: whole only with their marker."""
    home = cache_folder() / "environments"
    paths = entries(home)
    whole = [path for path in paths if (path / MARKER).is_file()]
    venvs = [path for path in paths if path not in whole and (path / "pyvenv.cfg").is_file()]
    unknown = [path for path in paths if path not in (*whole, *venvs)]
    summary = f"{len(whole)} for the drift report"
    return Part("cache: drift", home, summary, leftover=tuple(venvs), unknown=tuple(unknown))


def drift_part() -> Part:
    """Results of the drift report."""
    home = cache_folder() / "drift"
    paths = entries(home)
    results = [path for path in paths if re.fullmatch(r"[0-9a-f]{16}|reports", path.name)]
    parts = [path for folder in results for path in folder.glob(".*.*")]
    unknown = [path for path in paths if path not in results]
    summary = f"{sum(path.name != 'reports' for path in results)} versions looked at"
    return Part("cache: results", home, summary, leftover=tuple(parts), unknown=tuple(unknown))


def strangers() -> list[Check]:
    """What stands beside our parts."""
    home = cache_folder()
    unknown = tuple(path for path in entries(home) if path.name not in PARTS)
    return [check_of(Part("cache: others", home, "all", unknown=unknown))] if unknown else []


def cache() -> list[Check]:
    """All parts, and what is none of them."""
    if cache_folder().exists() and not cache_folder().is_dir():
        mend = "set MODEL_CONFORMANCE_CACHE to a folder"
        return [Check("cache", "bad", f"{cache_folder()} is a file, not a folder", mend)]
    parts = [bundle_part(), weights_part(), environments_part(), drift_part()]
    return [*map(check_of, parts), *strangers()]
