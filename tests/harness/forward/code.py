"""Whose code runs: every function of a model must be the library's own, as its file has it."""

import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

_LIBRARIES = ("torch", "transformers", "bitsandbytes")


def foreign_functions(model: Any) -> Iterator[str]:
    """A line for each function that is not its library's: replaced, or of another package.

    Packages like `kernels` put other forwards in: on the object, on the class, or as functions
    in the model's module.
    """
    attention = model.config._attn_implementation
    for name, module in model.named_modules():
        if "forward" in vars(module):
            yield f"{name}.forward is {_home(vars(module)['forward'])}"
    for kind in {module.__class__: None for module in model.modules()}:
        yield from _foreign(f"{kind.__name__}.forward", kind.forward)
    home = sys.modules[model.__class__.__module__]
    for name, value in vars(home).items():
        if callable(value) and not isinstance(value, type):
            yield from _foreign(name, value)
    registered = home.ALL_ATTENTION_FUNCTIONS.get(attention)
    if registered is not None:
        yield from _foreign(f"attention {attention!r}", registered)


def _foreign(name: str, function: Any) -> Iterator[str]:
    if type(function).__module__.partition(".")[0] not in ("builtins", "types", "typing"):
        if type(function).__module__.partition(".")[0] not in _LIBRARIES:
            yield f"{name} is an object of {type(function).__module__}"
        return
    while isinstance(function, FunctionType | MethodType):
        if not _is_of_a_library(function.__code__.co_filename):
            yield f"{name} is {_home(function)}"
            return
        function = getattr(function, "__wrapped__", None)


def _home(function: Any) -> str:
    code = getattr(function, "__code__", None)
    return f"of {Path(code.co_filename).name}" if code else f"a {type(function).__name__}"


def _is_of_a_library(file: str) -> bool:
    return any(root in Path(file).parents for root in _roots())


@cache
def _roots() -> list[Path]:
    specs = [find_spec(name) for name in _LIBRARIES]
    return [Path(str(spec.origin)).parent for spec in specs if spec]
