"""The forms in which ids are given to `decode` and `batch_decode`."""

from typing import Any

IDS = ("int", "list", "numpy_int", "numpy_array", "torch_scalar", "torch_tensor")
ALONE = ("int", "numpy_int", "torch_scalar")  # forms of one id
BATCHES = {
    "flat": ("flat", "flat_numpy", "flat_torch"),
    "rows": ("rows_of_one", "ragged", "numpy", "torch"),
    "none": ("none",),
}


def in_form(form: str, ids: list[int]) -> Any:
    """One of IDS: all ids, or the first; ImportError where there is no torch for a form of it."""
    import numpy

    match form:
        case "int":
            return ids[0]
        case "numpy_int":
            return numpy.int64(ids[0])
        case "numpy_array":
            return numpy.array(ids)
        case "torch_scalar" | "torch_tensor":
            import torch

            return torch.tensor(ids[0] if form in ALONE else ids)
        case _:
            return ids


def rows_in_form(form: str, ids: list[int]) -> Any:
    """One of the forms of BATCHES; ImportError as above."""
    import numpy

    match form:
        case "rows_of_one":
            return [[token_id] for token_id in ids]
        case "ragged":
            return [ids, ids[:1], []]
        case "flat_numpy" | "numpy":
            return numpy.array(ids if form.startswith("flat") else [ids, ids])
        case "flat_torch" | "torch":
            import torch

            return torch.tensor(ids if form.startswith("flat") else [ids, ids])
        case "none":
            return []
        case _:
            return ids
