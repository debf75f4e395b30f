"""The error bounds hold for right weights, are nearly reached, and catch wrong ones."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.model.error_bounds import half_gap, int8_errors, nf4_errors
from tests.harness.model.fingerprints import divergence

DoubleQuant = pytest.mark.parametrize("double_quant", [True, False], ids=["double", "single"])


def normal(rows: int = 64, columns: int = 512) -> Any:
    """Weights as a model's are: bf16, normally distributed, the same every time."""
    import torch

    return 0.02 * torch.randn(rows, columns, generator=torch.Generator().manual_seed(42)).bfloat16()


def four_bit(values: Any, double_quant: bool = True) -> Any:
    """The values as an NF4 parameter."""
    from bitsandbytes.nn import Params4bit

    given = {"compress_statistics": double_quant, "quant_type": "nf4"}
    return Params4bit(values.clone(), requires_grad=False, **given).to("cpu")


def eight_bit(values: Any) -> Any:
    """The values as an int8 parameter."""
    from bitsandbytes.nn import Int8Params

    return Int8Params(values.clone(), requires_grad=False, has_fp16_weights=False).to("cpu")


def ratio(errors: Any, bounds: Any) -> float:
    """The largest part of its bound that an error takes."""
    return float((errors / bounds).max())


@DoubleQuant
def test_nf4_bound_is_kept_and_nearly_reached(double_quant: bool) -> None:
    assert 0.85 < ratio(*nf4_errors(normal(), four_bit(normal(), double_quant))) <= 1


def test_int8_bound_is_kept_and_nearly_reached() -> None:
    assert 0.8 < ratio(*int8_errors(normal(), eight_bit(normal()))) <= 1


def one_sign_turned(values: Any) -> Any:
    """One weight made large, and its sign changed in the copy."""
    values[3, 100] = 0.05
    changed = values.clone()
    changed[3, 100] = -0.05
    return changed


WRONG: dict[str, Callable[[Any], Any]] = {
    "larger_by_a_tenth": lambda values: 1.1 * values,
    "neighbouring_rows_swapped": lambda values: values.roll(1, 0),
    "one_sign_turned": one_sign_turned,
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_wrong_weights_exceed_the_bound(change: Callable[[Any], Any]) -> None:
    right = normal()
    wrong = change(right)
    assert ratio(*nf4_errors(right, four_bit(wrong))) > 1
    assert ratio(*int8_errors(right, eight_bit(wrong))) > 1


def test_wrong_absmax_exceeds_the_bound() -> None:
    weight = four_bit(normal(), double_quant=False)
    weight.quant_state.absmax[7] *= 1.1
    errors, bounds = nf4_errors(normal(), weight)
    assert (errors > bounds).nonzero().flatten().tolist() == [7]


def test_half_of_the_largest_gap() -> None:
    import torch

    assert half_gap(torch.tensor([1.0, -1.0, 0.5])) == 0.75
    state = four_bit(normal()).quant_state
    assert half_gap(state.code) == pytest.approx((1 - 0.6961928) / 2, abs=1e-7)


def test_divergence_by_hand() -> None:
    """Half and half against a quarter and three quarters, beside a position that agrees."""
    import torch

    half, quarter = [math.log(0.5)] * 2, [math.log(0.25), math.log(0.75)]
    reference = [torch.tensor([half, half])]
    expected = 0.5 * (0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert divergence(reference, [torch.tensor([half, quarter])]) == pytest.approx(expected)
    assert divergence(reference, reference) == 0
