"""Downloads against a hub on the loopback: the registry's files, whole, and no others."""

import shutil
from pathlib import Path

import pytest

from tests.harness.errors import AssetError
from tests.harness.models import registry
from tests.harness.sources.hub import fetch
from tests.meta.support.hub_runs import CANARY, PHI3, asked, attempt, check_files, check_sentence
from tests.meta.support.hub_server import Seen, serve


def test_the_registrys_files_and_no_other_are_fetched(
    bundle: dict[str, Path], tmp_path: Path
) -> None:
    """Bytes, requests, login and progress of a plain download; then the same without a hub."""
    published = tmp_path / "published"
    shutil.copytree(bundle["phi3"], published)
    (published / "pytorch_model.bin").write_bytes(b"not asked for")
    seen: list[Seen] = []
    with serve({PHI3.hub_id: published}, {}, seen) as endpoint:
        (first,) = attempt(tmp_path, endpoint)
    check_files(first, bundle["phi3"])
    assert CANARY not in first.output
    assert first.lines == ["phi3: microsoft/Phi-3-mini-4k-instruct at 0a67737c, 3 files"]
    place = f"/{PHI3.hub_id}/resolve/{PHI3.revision}/"
    assert {one.path for one in asked(seen)} == {place + name for name in PHI3.files}
    assert {one.authorization for one in asked(seen)} == {f"Bearer {CANARY}"}
    (again,) = attempt(tmp_path, endpoint, settings={"HF_HUB_OFFLINE": "1"})
    check_files(again, bundle["phi3"])


def test_a_damaged_cached_file_is_replaced(bundle: dict[str, Path], tmp_path: Path) -> None:
    """The size is right, so that only the hash tells; only this file is downloaded again."""
    seen: list[Seen] = []
    with serve({PHI3.hub_id: bundle["phi3"]}, {}, seen) as endpoint:
        (first,) = attempt(tmp_path, endpoint)
        cached = Path(first.folder) / "tokenizer_config.json"
        content = cached.read_bytes()
        cached.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        seen.clear()
        (second,) = attempt(tmp_path, endpoint)
    check_files(second, bundle["phi3"])
    assert {Path(one.path).name for one in asked(seen)} == {"tokenizer_config.json"}


def test_a_damaged_cached_file_and_no_network(bundle: dict[str, Path], tmp_path: Path) -> None:
    """A file that is known to be wrong is not handed out for want of a better one."""
    with serve({PHI3.hub_id: bundle["phi3"]}, {}) as endpoint:
        (first,) = attempt(tmp_path, endpoint)
    with (Path(first.folder) / "tokenizer.json").open("r+b") as cached:
        cached.write(b" ")
    (second,) = attempt(tmp_path, endpoint, settings={"HF_HUB_OFFLINE": "1"})
    check_sentence(second, PHI3.hub_id, "offline mode")


def test_a_tampered_file_is_refused_and_an_honest_hub_mends_it(
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
        (mended,) = attempt(tmp_path, endpoint)
    check_files(mended, bundle["phi3"])


def test_a_model_of_a_package_is_not_on_the_hub() -> None:
    """SmolLM2's files come with a package: the sentence sends there, without a progress line."""
    lines: list[str] = []
    with pytest.raises(AssetError, match=r"come from a package, .* use --source bundle") as caught:
        fetch(registry()["smollm2"], lines.append)
    assert str(caught.value).startswith("smollm2 (HuggingFaceTB/SmolLM2-135M-Instruct): ")
    assert lines == []


def test_the_server_knows_its_faults() -> None:
    """A mistyped fault is no fault at all, and a test with it would pass for nothing."""
    with pytest.raises(ValueError, match=r"unknown faults: .'gate'"), serve({}, {"a/b": "gate"}):
        pass
