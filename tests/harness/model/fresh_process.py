"""The same prompts in a new process, JSON in and out:
`python -m tests.harness.model.fresh_process`.
"""

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
    loaded_model: LoadedModel, prompts: Sequence[str], **changes: Any
) -> list[tuple[int, ...]]:
    """The new ids for each prompt from a new process, which loads the same folder once more."""
    question = {
        "folder": str(loaded_model.weights.folder),
        "tokenizer": loaded_model.tokenizer.name_or_path,
        "device": loaded_model.device,
        "load": loaded_model.load,
        "prompts": list(prompts),
        "changes": changes,
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.harness.model.fresh_process"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{loaded_model.label}: the new process failed: {last}")
    return [tuple(ids) for ids in json.loads(run.stdout.splitlines()[-1])]


def main() -> None:
    """Read a question from stdin, load, and print the new ids as one line of JSON."""
    question = json.load(sys.stdin)
    tokenizer = prepared_tokenizer(Path(question["tokenizer"]))
    config = quantization_config(question["load"])
    model, _ = from_pretrained(Path(question["folder"]), question["device"], config)
    model.generation_config.pad_token_id = tokenizer.eos_token_id
    prompts, changes = question["prompts"], question["changes"]
    print(json.dumps([predict(model, tokenizer, it, **changes).new for it in prompts]))


if __name__ == "__main__":
    main()
