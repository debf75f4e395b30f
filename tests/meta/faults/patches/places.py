"""Replaces places of a library for the rest of the process, and proves that this took effect.

A place that is gone, or that nothing reaches, would leave a fault unplanted: its survival, or
its death by another cause, would say nothing about the suite.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

Function = Callable[..., Any]


class PlaceMovedError(Exception):
    """A library has no such place any more; the message is one line that names both."""


@dataclass
class Place:
    """A replaced attribute."""

    name: str
    package: str  # with its version
    reached: bool = False
    problem: str = ""  # of a change that could not be made when the place was reached


_places: list[Place] = []


def package_of(module: str) -> str:
    """The top package with its version, if it has one."""
    top = module.partition(".")[0]
    try:
        return f"{top} {metadata.version(top)}"
    except metadata.PackageNotFoundError:
        return top


def _moved(package: str, name: str) -> str:
    return f"{package} has no {name} any more: the patch must follow"


def _place(owner: Any, name: str) -> Place:
    module = owner.__name__ if inspect.ismodule(owner) else owner.__module__
    path = module if inspect.ismodule(owner) else f"{module}.{owner.__qualname__}"
    place = Place(f"{path}.{name}", package_of(module))
    if not hasattr(owner, name):
        raise PlaceMovedError(_moved(place.package, place.name))
    return place


def replace(
    owner: Any,
    name: str,
    make: Callable[[Function], Function],
    keywords: tuple[str, ...] = (),
    when: Callable[[dict[str, Any]], bool] = lambda given: True,
) -> None:
    """Replace a function of a class or module by what `make` makes of it.

    It must be there and take the keywords; it counts as reached by a call whose keyword arguments
    satisfy `when`. PlaceMovedError if it is not there, or does not take them.
    """
    place = _place(owner, name)
    right = getattr(owner, name)
    if keywords:
        parameters = inspect.signature(right).parameters.values()
        taken = {one.name for one in parameters}
        anything = any(one.kind is one.VAR_KEYWORD for one in parameters)
        for keyword in () if anything else sorted(set(keywords) - taken):
            raise PlaceMovedError(_moved(place.package, f"{place.name}({keyword}=)"))
    new = make(right)

    @functools.wraps(right, updated=())
    def counted(*args: Any, **given: Any) -> Any:
        place.reached = place.reached or when(given)
        try:
            return new(*args, **given)
        except PlaceMovedError as error:
            place.problem = str(error)
            raise

    _places.append(place)
    setattr(owner, name, counted)


def change_result(owner: Any, name: str, change: Callable[[Any], Any]) -> None:
    """Change what a function of a class or module returns."""

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            result = right(*args, **given)
            try:
                return change(result)
            except AttributeError as error:
                package = package_of(type(result).__module__)
                raise PlaceMovedError(f"{package}: {error}: the patch must follow") from error

        return faulty

    replace(owner, name, make)


def set_existing(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of an object; PlaceMovedError if the object has none of this name."""
    if not hasattr(owner, name):
        kind = type(owner)
        raise PlaceMovedError(_moved(package_of(kind.__module__), f"{kind.__qualname__}.{name}"))
    setattr(owner, name, value)


def ineffective() -> list[str]:
    """A line for each replaced place that was not reached, or that could not be changed."""
    return [
        place.problem or f"{place.package} never reached {place.name}: nothing was planted"
        for place in _places
        if place.problem or not place.reached
    ]
