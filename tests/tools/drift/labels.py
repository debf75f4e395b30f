"""Whether a trainer learns what `fixtures/training_rows.toml` declares, of every observed row."""

from itertools import groupby, zip_longest
from typing import Any

from tests.harness.data.registry import registry
from tests.harness.data.training import Training, trainings
from tests.harness.text import quote

from .differences import error_of
from .observers.training import IGNORED
from .record import Observed
from .runner import Outcomes

NODE = "labels_are_declared"


def judge_labels(observed: dict[str, Observed], decoders: dict[str, Any]) -> Outcomes:
    """One outcome a model and row; `decoders` are each model's `tokenizers.Tokenizer`."""
    passed, red = 0, dict[str, str]()
    for key, seen in observed.items():
        eos = registry()[key].tokenizer.eos
        assert eos is not None, key
        for one in trainings().values():
            call = f"SFTTrainer({one.id})"
            ids = seen.get("ids", {}).get(call, {})
            for number, (case, got) in enumerate(seen.get("labels", {}).get(call, {}).items()):
                made = ids.get(case, []), got
                problem = error_of(got) or wrong(one, number, made, decoders[key], eos)
                passed += not problem
                if problem:
                    red[f"{NODE}[{key}-{case}]"] = f"{key} {case}: {problem}"
    return Outcomes(passed, {}, red)


def wrong(
    training: Training, number: int, made: tuple[list[int], list[int]], decoder: Any, eos: int
) -> str:
    """What is wrong with a row's labels, on one line; empty if they are as declared."""
    ids, labels = made
    ignored = labels.count(IGNORED)
    if len(labels) != len(ids):
        return f"{len(labels) - len(ids)} pads have a label"
    if any(label not in (IGNORED, token) for label, token in zip(labels, ids, strict=True)):
        return "a label is another than its own id"
    if training.learns == "all":
        return f"{ignored} of {len(ids)} tokens are ignored, expected none" if ignored else ""
    if training.learns == "nothing":
        learned = len(labels) - ignored
        return f"{learned} of {len(ids)} tokens are learned, expected none" if learned else ""

    def text(tokens: list[int]) -> str:
        decoded: str = decoder.decode(tokens, skip_special_tokens=False)
        return decoded.strip()

    runs = groupby(labels, lambda label: label != IGNORED)
    got = [text(list(run)) for learned, run in runs if learned]
    answers = training.answers if training.packed else training.answers[number : number + 1]
    if training.is_chat:
        whole = text(ids)
        right = [whole[whole.rindex(answer) :] for answer in answers]
    else:
        right = [text([*_plain(decoder, answer), eos]) for answer in answers]
    for mine, declared in zip_longest(got, right, fillvalue=""):
        if mine != declared:
            masked = f"{ignored} of {len(ids)} tokens are ignored"
            return f"{masked}: learns {quote(mine[:60])}, expected {quote(declared[:60])}"
    return ""


def _plain(decoder: Any, text: str) -> list[int]:
    ids: list[int] = decoder.encode(text, add_special_tokens=False).ids
    return ids
