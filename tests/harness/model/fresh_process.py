"""The same prompts in a new process: `python -m tests.harness.model.fresh_process`."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import PROJECT
from .generation import predict
from .loading import LoadedModel, from_pretrained, prepared_tokenizer, quantization_config


def generate_in_fresh_process(
    loaded: LoadedModel, prompts: Sequence[str], **changes: Any
) -> list[tuple[int, ...]]:
    """The new ids for each prompt from a new process, which loads the same folder again.

    RuntimeError if the process fails.
    """
    request = {
        "folder": str(loaded.weights.folder),
        "tokenizer": loaded.tokenizer.name_or_path,
        "device": loaded.device,
        "load": loaded.load,
        "prompts": list(prompts),
        "changes": changes,
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.harness.model.fresh_process"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"{loaded.label}: the new process failed: {last}")
    return [tuple(ids) for ids in json.loads(run.stdout.splitlines()[-1])]


def main() -> None:
    """Read a request as JSON from stdin, load, and print the new ids as one line of JSON."""
    request = json.load(sys.stdin)
    tokenizer = prepared_tokenizer(Path(request["tokenizer"]))
    config = quantization_config(request["load"])
    model, _ = from_pretrained(Path(request["folder"]), request["device"], config)
    model.generation_config.pad_token_id = tokenizer.eos_token_id
    answers = [
        predict(model, tokenizer, prompt, **request["changes"]) for prompt in request["prompts"]
    ]
    print(json.dumps([answer.new for answer in answers]))


if __name__ == "__main__":
    main()
