"""Which benchmarks are compared: those of the task, or all."""

from collections.abc import Sequence

from tests.harness.data.registry import Device
from tests.harness.latency.spec import benchmark_of

Nodes = dict[str, str]  # node id by the name of its test, parameters and all


def _parameters(name: str) -> tuple[str, list[str]]:
    """`test_predict[smollm2-cpu-nf4]` in parts."""
    test, _, rest = name.removesuffix("]").partition("[")
    return test, rest.split("-")


def _is_everyday(name: str, device: Device) -> bool:
    """Whether a benchmark is one of the task's, on the first of its loads and batches."""
    test, parameters = _parameters(name)
    spec = benchmark_of(test)
    if not spec.everyday:
        return False
    if not spec.loads:
        return True
    first = [spec.loads[device][0], *map(str, spec.batches[:1])]
    return parameters[2:] == first[: len(parameters) - 2]


def selected(node_ids: Sequence[str], device: Device, everyday: bool) -> Nodes:
    """The benchmarks of a device among those collected.

    `everyday` leaves those of the task, and of the tokenizers those of models that predict here.
    """
    nodes = {node.rpartition("::")[2]: node for node in node_ids}
    loaded = {name for name in nodes if len(_parameters(name)[1]) > 1}
    here = {name for name in loaded if _parameters(name)[1][1] == device}
    kept = [name for name in nodes if name in here or name not in loaded]
    if everyday:
        models = {_parameters(name)[1][0] for name in here}
        kept = [
            name
            for name in kept
            if _is_everyday(name, device) and (not models or _parameters(name)[1][0] in models)
        ]
    return {name: nodes[name] for name in kept}
