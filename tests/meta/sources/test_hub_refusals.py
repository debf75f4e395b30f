"""Everything that can go wrong between us and the hub: one sentence each, and no leaked token."""

import errno
from pathlib import Path

import pytest

from tests.harness.sources.hub_errors import explain
from tests.meta.support.hub_runs import CANARY, PHI3, Outcome, asked, attempt, check_sentence
from tests.meta.support.hub_server import Seen, serve

# What each fault's sentence must say, the mend included.
SENTENCES = {
    "gated": "accept it at https://huggingface.co/acme/gated, then run `hf auth login`",
    "gated_anonymous": "https://huggingface.co/acme/gated_anonymous, then run `hf auth login`",
    "unauthorised": "(HTTP 401), as it does if the token is missing or wrong",
    "private": "run `hf auth login` or set HF_TOKEN",
    "forbidden": "(Bearer (hidden) may not read acme/forbidden; Ask its owner); use a token",
    "missing": "no such repository; it was removed or `hub_id` in fixtures/models.toml is wrong",
    "no_revision": f"no revision {PHI3.revision}; it was removed or `revision` in fixtures",
    "no_file": f"no tokenizer.json at revision {PHI3.revision}; it was removed or `files` in",
    "rate_limited": "(HTTP 429); wait 300 seconds, or run `hf auth login`",
    "failing": "fails with HTTP 500; try again later, or use --source bundle",
    "teapot": "Short and stout); use --source bundle",
    "portal": "127.0.0.1 is not a hub; check the proxy and HF_ENDPOINT",
    "silent": "no answer from 127.0.0.1, or the connection was cut (",
    "cut": "check the network and HF_ENDPOINT, or use --source bundle",
}


@pytest.fixture(scope="module")
def refusals(bundle: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """One fetch from a repository of each fault, in the order of SENTENCES."""
    faults = {f"acme/{fault}": fault for fault in SENTENCES}
    with serve(dict.fromkeys(faults, bundle["phi3"]), faults) as endpoint:
        return attempt(tmp_path_factory.mktemp("refusals"), endpoint, tuple(faults))


@pytest.mark.parametrize("fault", SENTENCES)
def test_each_refusal_has_its_sentence(fault: str, refusals: list[Outcome]) -> None:
    """Every way a hub can refuse or break is told apart, soon, and with the mend."""
    outcome = refusals[list(SENTENCES).index(fault)]
    check_sentence(outcome, f"acme/{fault}", SENTENCES[fault])
    # Only after a first part of the file has come does the library try again, for seconds.
    assert outcome.seconds < (30 if fault == "cut" else 5)


def test_a_hub_that_is_not_there_is_noticed_at_once(tmp_path: Path) -> None:
    """Connection refused: a sentence about the network, without the library's retries."""
    with serve({}, {}) as endpoint:
        pass
    (outcome,) = attempt(tmp_path, endpoint)
    check_sentence(outcome, PHI3.hub_id, "no answer from 127.0.0.1")
    assert "or use --source bundle" in outcome.error
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
    """Offline mode is named as the cause, and the hub is left alone."""
    seen: list[Seen] = []
    settings = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": CANARY}
    with serve({PHI3.hub_id: bundle["phi3"]}, {}, seen) as endpoint:
        (outcome,) = attempt(tmp_path, endpoint, settings=settings)
    said = "unset HF_HUB_OFFLINE, or run `python -m tests.tools.fetch --source hub` where"
    check_sentence(outcome, PHI3.hub_id, said)
    assert asked(seen) == []


def test_no_room_for_a_file(bundle: dict[str, Path], tmp_path: Path) -> None:
    """A write that the system cuts short: how to get room, and no file taken for whole."""
    pytest.importorskip("resource", reason="the limit on file sizes is of POSIX systems")
    with serve({PHI3.hub_id: bundle["phi3"]}, {}) as endpoint:
        (outcome,) = attempt(tmp_path, endpoint, size_limit=500_000)
    said = f"free space in {tmp_path / 'hf' / 'hub'}, or move the cache to another disk by HF_HOME"
    check_sentence(outcome, PHI3.hub_id, said)
    full = explain(PHI3, "tokenizer.json", OSError(errno.ENOSPC, "No space left on device"))
    assert "no room for tokenizer.json (No space left on device); free space in" in str(full)


def test_a_cache_that_cannot_be_used(bundle: dict[str, Path], tmp_path: Path) -> None:
    """HF_HOME names a file: the sentence says why and where to look."""
    home = tmp_path / "a_file"
    home.write_bytes(b"")
    settings = {"HF_HOME": str(home), "HF_TOKEN": CANARY}
    with serve({PHI3.hub_id: bundle["phi3"]}, {}) as endpoint:
        (outcome,) = attempt(tmp_path, endpoint, settings=settings)
    said = f"make {home / 'hub'} yours to read and write, or set HF_HOME to another folder"
    check_sentence(outcome, PHI3.hub_id, said)
