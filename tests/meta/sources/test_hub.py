"""Downloads against a hub on the loopback: the registry's files, whole, and no others."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.data.registry import registry
from tests.harness.errors import AssetError
from tests.harness.sources.hub import fetch
from tests.meta.support.hub_runs import (
    CANARY,
    PHI3,
    Outcome,
    attempt,
    check_files,
    check_sentence,
    file_requests,
)
from tests.meta.support.hub_server import Seen, serve


@dataclass(frozen=True)
class Fetched:
    """A first fetch: its home folder with the cache, how it ended, and what it requested."""

    home: Path
    outcome: Outcome
    seen: list[Seen]

    def copy(self, home: Path) -> Path:
        """Copy the home, in which a test may do harm; the model's folder in its cache."""
        shutil.copytree(self.home, home, symlinks=True)
        return home / Path(self.outcome.folder).relative_to(self.home)


@pytest.fixture(scope="module")
def fetched(bundle: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    """Phi-3's files from a repository that holds one more."""
    published, home = tmp_path_factory.mktemp("published"), tmp_path_factory.mktemp("home")
    shutil.copytree(bundle["phi3"], published, dirs_exist_ok=True)
    (published / "pytorch_model.bin").write_bytes(b"not requested")
    seen: list[Seen] = []
    with serve({PHI3.hub_id: published}, {}, seen) as endpoint:
        (outcome,) = attempt(home, endpoint)
    return Fetched(home, outcome, seen)


def test_the_registrys_files_and_no_other_are_fetched(
    fetched: Fetched, bundle: dict[str, Path]
) -> None:
    """Bytes, requests, login and progress of a plain download; then the same without a hub."""
    check_files(fetched.outcome, bundle["phi3"])
    assert CANARY not in fetched.outcome.output
    assert fetched.outcome.lines == ["phi3: microsoft/Phi-3-mini-4k-instruct at 0a67737c, 3 files"]
    folder = f"/{PHI3.hub_id}/resolve/{PHI3.revision}/"
    assert {request.path for request in file_requests(fetched.seen)} == {
        folder + name for name in PHI3.files
    }
    assert {request.authorization for request in file_requests(fetched.seen)} == {
        f"Bearer {CANARY}"
    }
    (again,) = attempt(fetched.home, "http://127.0.0.1:9", settings={"HF_HUB_OFFLINE": "1"})
    check_files(again, bundle["phi3"])


def test_a_damaged_cached_file_is_replaced(
    fetched: Fetched, bundle: dict[str, Path], tmp_path: Path
) -> None:
    """The size is right, so only the hash shows it; only this file is downloaded again.

    Without a network it is refused: a file known to be wrong is not used for want of a better one.
    """
    home, seen = tmp_path / "home", list[Seen]()
    damaged = fetched.copy(home) / "tokenizer_config.json"
    content = damaged.read_bytes()
    damaged.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    (offline,) = attempt(home, "http://127.0.0.1:9", settings={"HF_HUB_OFFLINE": "1"})
    check_sentence(offline, PHI3.hub_id, "tokenizer_config.json: ")
    assert "HF_HUB_OFFLINE" in offline.error
    with serve({PHI3.hub_id: bundle["phi3"]}, {}, seen) as endpoint:
        (second,) = attempt(home, endpoint)
    check_files(second, bundle["phi3"])
    assert {Path(request.path).name for request in file_requests(seen)} == {"tokenizer_config.json"}


def test_a_tampered_file_is_refused_and_replaced_by_an_honest_hub(
    bundle: dict[str, Path], tmp_path: Path
) -> None:
    """Another file of the same size from the hub: refused, and it does not stick in the cache."""
    forged = tmp_path / "forged"
    shutil.copytree(bundle["phi3"], forged)
    with (forged / "tokenizer_config.json").open("r+b") as file:
        file.write(b"[")
    with serve({PHI3.hub_id: forged}, {}) as endpoint:
        (refused,) = attempt(tmp_path, endpoint)
    check_sentence(refused, PHI3.hub_id, "tokenizer_config.json has sha256 ")
    assert "where the registry has 32f66c2bab49, even after a second download" in refused.error
    assert "or use --source bundle" in refused.error
    with serve({PHI3.hub_id: bundle["phi3"]}, {}) as endpoint:
        (replaced,) = attempt(tmp_path, endpoint)
    check_files(replaced, bundle["phi3"])


def test_a_model_of_a_package_is_not_on_the_hub() -> None:
    """SmolLM2's files come with a package: the sentence sends there, without a progress line."""
    lines: list[str] = []
    with pytest.raises(AssetError, match=r"come from a package, .* use --source bundle") as caught:
        fetch(registry()["smollm2"], lines.append)
    assert str(caught.value).startswith("smollm2 (HuggingFaceTB/SmolLM2-135M-Instruct): ")
    assert lines == []


def test_the_server_knows_its_faults() -> None:
    """A test with a mistyped fault would pass without proving anything."""
    with pytest.raises(ValueError, match=r"unknown faults: .'gate'"), serve({}, {"a/b": "gate"}):
        pass
