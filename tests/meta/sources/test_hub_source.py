"""`--source hub` through the real client and a loopback hub: the identical snapshots hold."""

from functools import partial
from pathlib import Path

from tests.harness.data.registry import registry
from tests.meta.conftest import run_pytest
from tests.meta.support.hub_runs import CANARY
from tests.meta.support.hub_server import Seen, serve

# Files with the published hashes, and snapshots: what all other tests would start from.
TESTS = ("tests/conformance/test_files.py", "tests/conformance/test_snapshots.py")


def folders(bundle: dict[str, Path]) -> dict[str, Path]:
    """The bundle's folders under the names of the repositories they stand for."""
    return {m.hub_id: bundle[key] for key, m in registry().items() if m.revision}


def test_hub_gives_the_same_snapshots(bundle: dict[str, Path], tmp_path: Path) -> None:
    seen: list[Seen] = []
    with serve(folders(bundle), {}, seen) as endpoint:
        hub = partial(run_pytest, "--source", "hub", HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path))
        run = hub(*TESTS, "--gate")
        assert run.code == 0, run.out[-3000:]
        requests = len(seen)
        assert requests > 0
        again = hub(*TESTS, "--models", "phi3", HF_HUB_OFFLINE="1")
        assert again.code == 0, again.out[-3000:]
        assert len(seen) == requests, "a cached model needs no request"


def test_refusal_is_the_failure_of_every_test_in_one_sentence(
    bundle: dict[str, Path], tmp_path: Path
) -> None:
    repository = registry()["phi3"].hub_id
    with serve(folders(bundle), {repository: "gated"}) as endpoint:
        run = run_pytest(
            *("tests/conformance/test_prices.py", "--source", "hub", "--models", "phi3"),
            HF_ENDPOINT=endpoint,
            HF_HOME=str(tmp_path),
            HF_TOKEN=CANARY,
        )
    assert run.code == 1
    assert "access is gated" in run.line(f"phi3 ({repository})")
    assert CANARY not in run.out
