"""llama.cpp in this process: its server, on a port of loopback that the system chooses."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..data.engines import Engine
from ..errors import LoadError
from ..text import first_line

_SILENT = -1


def engine_version(engine: Engine) -> str:
    """The version of the engine's package; empty if it is not installed."""
    try:
        return version(engine.package)
    except PackageNotFoundError:
        return ""


def start(engine: Engine, file: Path, options: Mapping[str, Any]) -> Any:
    """The engine's server on a GGUF; it has `listening_address` and ends when it is dropped.

    LoadError if the engine cannot load the file, or has no such option.
    """
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.verbosity = str(file), _SILENT
    for name, value in options.items():
        known = name if _has(settings, name) else engine.renamed_options.get(name, name)
        _set(settings, known, value)
    try:
        return xllamacpp.Server(settings)
    except (RuntimeError, ValueError) as error:
        raise LoadError(f"{engine.title} cannot load {file.name} ({first_line(error)})") from None


def _owner(settings: Any, name: str) -> tuple[Any, str]:
    *path, last = name.split(".")
    for each in path:
        settings = getattr(settings, each)
    return settings, last


def _has(settings: Any, name: str) -> bool:
    owner, last = _owner(settings, name)
    return hasattr(owner, last)


def _set(settings: Any, name: str, value: Any) -> None:
    owner, last = _owner(settings, name)
    if not hasattr(owner, last):
        raise LoadError(f"this version of the engine has no option {name}")
    setattr(owner, last, value)
