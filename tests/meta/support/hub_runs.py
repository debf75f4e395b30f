"""Runs of `fetch` for the tests, each in a process with a cache and settings of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.data.registry import registry
from tests.harness.files import PROJECT

from .hub_server import Seen

CANARY = "hf_canary0123456789"
PHI3 = registry()["phi3"]

# The library reads its settings when imported, so each try is a process of its own: it fetches
# phi3 under each of the given hub ids, and the tracebacks are for the search for leaked tokens.
TRY = """
import json, sys, time, traceback
from dataclasses import replace
from tests.harness.data.registry import registry
from tests.harness.errors import AssetError
from tests.harness.sources.hub import fetch

hub_ids, size_limit = json.loads(sys.argv[1])
if size_limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_limit, size_limit))
for hub_id in hub_ids:
    start, lines, folder, error = time.monotonic(), [], "", ""
    try:
        folder = str(fetch(replace(registry()["phi3"], hub_id=hub_id), lines.append))
    except AssetError as caught:
        error = str(caught)
        traceback.print_exc()
    seconds = time.monotonic() - start
    print(json.dumps({"folder": folder, "error": error, "lines": lines, "seconds": seconds}))
"""


@dataclass(frozen=True)
class Outcome:
    """How one fetch ended, the progress lines it gave, and all that its process printed."""

    folder: str
    error: str
    lines: list[str]
    seconds: float
    output: str


def attempt(
    home: Path,
    endpoint: str,
    hub_ids: tuple[str, ...] = (PHI3.hub_id,),
    settings: Mapping[str, str] | None = None,
    size_limit: int = 0,
) -> list[Outcome]:
    """Fetch in a process with its own cache, no inherited settings, and `settings` on top."""
    inherited = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    own = {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": endpoint}
    given = {"HF_TOKEN": CANARY} if settings is None else settings
    done = subprocess.run(
        [sys.executable, "-c", TRY, json.dumps([hub_ids, size_limit])],
        cwd=PROJECT,
        env={**inherited, **own, "HF_HUB_ETAG_TIMEOUT": "1", **given},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output.replace(CANARY, "(the token)")
    return [Outcome(**json.loads(line), output=output) for line in done.stdout.splitlines()]


def check_sentence(outcome: Outcome, hub_id: str, text: str) -> None:
    """The error is one line with that text and a fix; nothing that was printed holds the token."""
    leaked = CANARY in outcome.output
    assert not leaked, "the token was printed"
    assert outcome.error.startswith(f"phi3 ({hub_id}): ")
    assert text in outcome.error
    assert outcome.error.endswith(" use --source bundle")
    assert "\n" not in outcome.error


def check_files(outcome: Outcome, folder: Path) -> None:
    """The fetched folder holds the registry's files with the bytes of `folder`, and no other."""
    assert outcome.error == ""
    fetched = {path.name: path.read_bytes() for path in Path(outcome.folder).iterdir()}
    assert set(fetched) == set(PHI3.files)
    differing = [name for name in fetched if fetched[name] != (folder / name).read_bytes()]
    assert differing == []


def file_requests(seen: list[Seen]) -> list[Seen]:
    """The requests, less one for a list of its own that huggingface_hub 2 makes once a day."""
    return [request for request in seen if request.path != "/api/agent-harnesses"]


def only_folder(folder: Path) -> dict[str, Any]:
    """Settings under which pip looks nowhere but in this folder."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}
