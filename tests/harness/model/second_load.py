"""Models saved, and loaded again in a new process: `python -m tests.harness.model.second_load`.

The process starts early, since imports take seconds, and works beside the tests that need no
second load; who wants its answer waits for it.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ..errors import LoadError
from ..files import PROJECT, cache_folder, scratch_folder
from ..sources.shards import copied_to_cpu
from . import device as devices
from .fingerprints import fingerprints
from .generation import predict
from .loading import LoadedModel, from_pretrained, prepared_tokenizer
from .messages import capture_messages

_SPARE = 1_000_000_000  # bytes of the disk to leave free


@dataclass(frozen=True)
class Reloaded:
    """What the new process found: problems of its load, fingerprints, and the new ids."""

    label: str  # of the model that was saved
    saved: dict[str, str]  # its fingerprints
    fingerprints: dict[str, str]
    problems: list[str]
    answer: list[int]


@dataclass
class SecondProcess:
    """A process that loads what is saved for it, one model after the other."""

    process: subprocess.Popen[str] | None = None
    folders: dict[str, ExitStack] = field(default_factory=dict)  # which remove them
    saved: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    results: dict[str, Reloaded] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[str]:
        """The running process, begun if there is none."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.harness.model.second_load"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=PROJECT,
            )
        return self.process

    def begin(self, loaded: LoadedModel, prompt: str) -> None:
        """Save a model as it was loaded, and let the process load it and answer greedily.

        LoadError if the disk has too little room.
        """
        stack = self.folders[loaded.name] = ExitStack()
        folder = stack.enter_context(scratch_folder(cache_folder() / "weights"))
        _save(loaded, folder)
        request = {
            "name": loaded.name,
            "folder": str(folder),
            "tokenizer": loaded.tokenizer.name_or_path,
            "device": loaded.device,
            "prompt": prompt,
        }
        stdin = self.start().stdin
        assert stdin
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        # While the process loads.
        self.saved[loaded.name] = loaded.label, fingerprints(loaded.model)

    def result(self, name: str) -> Reloaded:
        """Wait for the process; LoadError with its last line if it failed."""
        last = "no output"
        while name not in self.results:
            process = self.start()
            assert process.stdout
            if not (line := process.stdout.readline()):
                raise LoadError(f"{name}: the new process failed: {last}")
            if line.startswith("{"):
                found = json.loads(line)
                loaded = found.pop("name")
                self.results[loaded] = Reloaded(*self.saved[loaded], **found)
                self.folders.pop(loaded).close()
            elif line.strip():
                last = line.strip()
        return self.results[name]

    def stop(self) -> None:
        """End the process, whatever it does, and remove what was saved."""
        if self.process:
            self.process.kill()
            self.process.communicate()
        for folder in self.folders.values():
            folder.close()


def _save(loaded: LoadedModel, folder: Path) -> None:
    need, free = loaded.measured.footprint, shutil.disk_usage(folder).free
    if free < need + _SPARE:
        raise LoadError(
            f"to save {loaded.name} takes {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free "
            f"in {cache_folder()}"
        )
    with _state_on_cpu(loaded.model):
        loaded.model.save_pretrained(folder)


@contextmanager
def _state_on_cpu(model: Any) -> Iterator[None]:
    """Let a model give its tensors as copies: saving from the device copies each by itself."""
    state = copied_to_cpu(model.state_dict())
    with patch.object(model, "state_dict", lambda: state):
        yield


def _reload(request: dict[str, Any]) -> dict[str, Any]:
    tokenizer = prepared_tokenizer(Path(request["tokenizer"]))
    with capture_messages() as messages:
        model, info = from_pretrained(Path(request["folder"]), request["device"], None)
    problems = [f"{kind}: {key}" for kind, keys in info.items() for key in keys]
    model.generation_config.pad_token_id = tokenizer.eos_token_id
    return {
        "name": request["name"],
        "problems": [*problems, *messages],
        "fingerprints": fingerprints(model),  # before the first use changes the layers
        "answer": predict(model, tokenizer, request["prompt"], do_sample=False).new,
    }


def main() -> None:
    """Do what each line of stdin asks for; print each result as a line of JSON."""
    import bitsandbytes  # noqa: F401  # its messages at import are not the load's
    from transformers import AutoModelForCausalLM  # noqa: F401  # which takes seconds

    for line in sys.stdin:
        request = json.loads(line)
        if request["device"] != "cpu":
            devices.keep_freed_memory()
        print(json.dumps(_reload(request)), flush=True)
        devices.collect(request["device"])


if __name__ == "__main__":
    main()
