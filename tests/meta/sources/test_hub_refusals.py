"""What can go wrong between us and the hub: one line each with a fix, and no token in it."""

import errno
from pathlib import Path

import pytest

from tests.harness.sources.hub import explain
from tests.meta.support.hub_runs import (
    CANARY,
    PHI3,
    Outcome,
    attempt,
    check_sentence,
    file_requests,
)
from tests.meta.support.hub_server import Seen, serve

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
