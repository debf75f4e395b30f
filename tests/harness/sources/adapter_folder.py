"""Folders that an adapter was saved to: a tokenizer, and the name of the model it belongs to."""

import json
import re
import shutil
from functools import partial
from pathlib import Path

from ..data.registry import Model, registry
from ..data.schema import read_json
from ..errors import AssetError
from ..files import cache_folder, sha256_text, write_atomically

ADAPTER = "adapter_config.json"
_COPIED = (".json", ".jinja")


def base_of_adapter(folder: Path) -> Model:
    """The registry's model that `adapter_config.json` names; AssetError if it names none."""
    name = read_json(folder / ADAPTER).get("base_model_name_or_path")
    for model in registry().values():
        if isinstance(name, str) and model.hub_id and _plain(name) == _plain(model.hub_id):
            return model
    raise AssetError(
        f"{folder}: {ADAPTER}: base_model_name_or_path is {name!r}, which no hub_id of "
        "fixtures/models.toml is: copy its config.json into the folder"
    )


def _plain(name: str) -> str:
    """The last part of a name, as the hub's older ones say it, too."""
    return re.sub(r"^meta-(?=llama)", "", name.rstrip("/").rpartition("/")[2].lower())


def completed(folder: Path) -> Path:
    """The folder, or where it has an adapter and no config.json a copy with its base's.

    Weights are not copied. AssetError if the base is not known, OSError passes through.
    """
    if (folder / "config.json").exists() or not (folder / ADAPTER).is_file():
        return folder
    base = base_of_adapter(folder)
    files = [path for path in sorted(folder.iterdir()) if path.suffix in _COPIED]
    state = "".join(f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}\n" for p in files)
    copy = cache_folder() / "adapters" / sha256_text(f"{base.key}\n{state}")[:16]
    copy.mkdir(parents=True, exist_ok=True)
    for path in files:
        if path.name != ADAPTER and path.is_file():
            write_atomically(copy / path.name, partial(shutil.copyfile, path))
    config = json.dumps(base.architecture, indent=2, ensure_ascii=False) + "\n"
    write_atomically(copy / "config.json", config)
    return copy
