"""The contracts that faults must break, and the cheapest fault for each."""

import re
from functools import cache
from pathlib import Path

from tests.harness.files import PROJECT

from .catalogue import APART, QUANTIZED, SERVING, Fault, catalogue

SUITES = ("conformance", "quantized", "serving")
LIGHT = ("phi3", "smollm2")  # models that every quick run loads anyway


@cache
def contracts() -> dict[tuple[str, str], Path]:
    """The file of each test, relative to the project, by suite and the test's name."""
    return {
        (suite, name): path.relative_to(PROJECT)
        for suite in SUITES
        for path in sorted((PROJECT / "tests" / suite).glob("test_*.py"))
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def contract_of(fault: Fault) -> tuple[str, str]:
    """The suite and the test that a fault must break; KeyError for one planted in a copy."""
    if fault.area in APART or not fault.red:
        raise KeyError(fault.id)
    if fault.area == SERVING:
        return SERVING, fault.red
    return SUITES[fault.area in QUANTIZED], fault.red


def _cost(fault: Fault) -> tuple[bool, ...]:
    return fault.trained, bool(fault.beside), fault.model not in LIGHT, bool(fault.edits)


def cheapest_faults() -> set[str]:
    """The id of one fault for every contract that has any."""
    cheapest: dict[tuple[str, str], Fault] = {}
    for fault in sorted(catalogue().values(), key=_cost):
        if fault.area not in APART:
            cheapest.setdefault(contract_of(fault), fault)
    return {fault.id for fault in cheapest.values()}
