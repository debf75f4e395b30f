"""Asks the hub for one small file of every model of it; prints a JSON object a model.

A process of its own, because the hub library reads its switches when it is imported.
"""

import json

from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import FileMetadataError

from ..hub import ask
from ..hub_errors import explain, kind_of
from ..models import Model, registry

FILE = "config.json"
HOPELESS = ("network", "stranger")  # no other model's answer will be better


def answer(model: Model) -> tuple[str, str]:
    """The kind of answer (`open`, or a key of hub_errors.SENTENCES) and its sentence."""
    url = hf_hub_url(model.hub_id, FILE, revision=model.revision)
    try:
        ask(url)
        # A portal that answers everything is told by what it does not say of the file.
        if get_hf_file_metadata(url, timeout=5).commit_hash is None:
            raise FileMetadataError("no commit is named")
    except Exception as error:
        return kind_of(error), str(explain(model, FILE, error))
    return "open", ""


def main() -> None:
    """Ask for one model after the other; a dead hub is asked once."""
    print(json.dumps({"token": bool(get_token())}), flush=True)
    for model in registry().values():
        if model.revision:
            kind, sentence = answer(model)
            print(json.dumps({model.key: [kind, sentence]}), flush=True)
            if kind in HOPELESS:
                return


if __name__ == "__main__":
    main()
