"""Files from a hub on the loopback: the registry's, whole, with its snapshots; or one line.

What can go wrong between us and the hub is one line with a fix, and no token in it.
"""

import errno
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.harness.data.registry import registry
from tests.harness.errors import AssetError
from tests.harness.sources.hub import explain, fetch
from tests.meta.conftest import run_pytest
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


# Our own sentences first, then messages of huggingface_hub.
SENTENCES = {
    "gated": "access is gated; ask for it at https://huggingface.co/acme/gated, then run `hf auth",
    "gated_anonymous": "https://huggingface.co/acme/gated_anonymous, then run `hf auth login`",
    "unauthorised": "login refused (HTTP 401): the token is missing or wrong",
    "private": "run `hf auth login` or set HF_TOKEN",
    "silent": "no answer from 127.0.0.1, or the connection was cut (",
    "cut": "check the network and HF_ENDPOINT, or use --source bundle",
    "forbidden": "tokenizer.json: 403 Forbidden: Bearer (hidden) may not read acme/forbidden",
    "no_revision": "Revision Not Found",
    "failing": "Internal Error; use --source bundle",
    "portal": "does not seem to be served by a Hugging Face Hub",
}


@pytest.fixture(scope="module")
def refusals(
    bundle: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """One fetch from a repository of each fault, all in one process."""
    faults = {f"acme/{fault}": fault for fault in SENTENCES}
    with serve(dict.fromkeys(faults, bundle["phi3"]), faults) as endpoint:
        outcomes = attempt(tmp_path_factory.mktemp("refusals"), endpoint, tuple(faults))
    return dict(zip(SENTENCES, outcomes, strict=True))


@pytest.mark.parametrize("fault", SENTENCES)
def test_each_refusal_is_one_line(fault: str, refusals: dict[str, Outcome]) -> None:
    outcome = refusals[fault]
    check_sentence(outcome, f"acme/{fault}", SENTENCES[fault])
    # Only after a first part of the file has come does the library try again, for seconds.
    assert outcome.seconds < (30 if fault == "cut" else 5)


def test_a_hub_that_is_not_there_is_noticed_at_once(tmp_path: Path) -> None:
    with serve({}, {}) as endpoint:
        pass
    (outcome,) = attempt(tmp_path, endpoint)
    check_sentence(outcome, PHI3.hub_id, "no answer from 127.0.0.1")
    assert outcome.seconds < 5


@pytest.mark.parametrize("variable", ["HUGGING_FACE_HUB_TOKEN", "file"])
def test_other_tokens_are_not_printed_either(
    variable: str, bundle: dict[str, Path], tmp_path: Path
) -> None:
    """The hub repeats the token it got: from the old variable, or from the saved login."""
    settings = {variable: CANARY}
    if variable == "file":
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(CANARY + "\n")
        settings = {}
    with serve({PHI3.hub_id: bundle["phi3"]}, {PHI3.hub_id: "forbidden"}) as endpoint:
        (outcome,) = attempt(tmp_path, endpoint, settings=settings)
    check_sentence(outcome, PHI3.hub_id, "Bearer (hidden) may not read")


def test_offline_without_a_cache(bundle: dict[str, Path], tmp_path: Path) -> None:
    """Offline mode is named as the cause, and the hub gets no request."""
    seen: list[Seen] = []
    settings = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": CANARY}
    with serve({PHI3.hub_id: bundle["phi3"]}, {}, seen) as endpoint:
        (outcome,) = attempt(tmp_path, endpoint, settings=settings)
    check_sentence(outcome, PHI3.hub_id, "HF_HUB_OFFLINE")
    assert file_requests(seen) == []


def test_a_full_disk_and_a_cache_that_is_a_file() -> None:
    full = explain(PHI3, "tokenizer.json", OSError(errno.ENOSPC, "No space left on device"))
    assert "no room on the disk for tokenizer.json; free space in /" in str(full)
    file = explain(PHI3, "tokenizer.json", OSError(errno.ENOTDIR, "Not a directory", "/a/file"))
    assert "tokenizer.json: [Errno 20] Not a directory: '/a/file'; use" in str(file)


def test_a_write_that_the_system_cuts_short(bundle: dict[str, Path], tmp_path: Path) -> None:
    """Reported as a full disk; the file does not count as complete."""
    pytest.importorskip("resource", reason="the limit on file sizes is of POSIX systems")
    with serve({PHI3.hub_id: bundle["phi3"]}, {}) as endpoint:
        (outcome,) = attempt(tmp_path, endpoint, size_limit=500_000)
    check_sentence(outcome, PHI3.hub_id, f"free space in {tmp_path / 'hf' / 'hub'}, or move")


# Files with the published hashes, and snapshots: what all other tests would start from.
TESTS = ("tests/conformance/test_files.py", "tests/conformance/test_snapshots.py")


def folders(bundle: dict[str, Path]) -> dict[str, Path]:
    """The bundle's folders under the names of the repositories they stand for."""
    return {m.hub_id: bundle[key] for key, m in registry().items() if m.revision}


FEW = ("--models", "phi3")


@pytest.mark.parametrize("models", [FEW, pytest.param((), marks=pytest.mark.slow)])
def test_hub_gives_the_same_snapshots(
    models: tuple[str, ...], bundle: dict[str, Path], tmp_path: Path
) -> None:
    seen: list[Seen] = []
    with serve(folders(bundle), {}, seen) as endpoint:
        hub = partial(run_pytest, "--source", "hub", HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path))
        run = hub(*TESTS, "--gate", "--gate-partial", *models)
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
