"""Drift's observers, run on real tokenizers here: planted changes of what people call are seen."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tests.harness.environments import Environment
from tests.harness.errors import DataError
from tests.tools.drift.differences import Difference, compare
from tests.tools.drift.environments import can_load, with_lent
from tests.tools.drift.observers.calls import observe_calls, observe_settings
from tests.tools.drift.observers.public_calls import read_public_calls
from tests.tools.drift.record import Observed, Observer
from tests.tools.drift.runner import run_in

KEY = "phi3"


def observe(folder: Path) -> Observed:
    """What the calls and settings of the model's tokenizer give."""
    observer = Observer({})
    auto = AutoTokenizer.from_pretrained(str(folder))
    with observer.messages("calls"):
        observe_calls(observer, auto, KEY)
    with observer.messages("settings"):
        observe_settings(observer, folder, KEY)
    read: Observed = json.loads(json.dumps(observer.observed | {"load": {"load": {"": "loaded"}}}))
    return read


@pytest.fixture(scope="module")
def before(bundle: dict[str, Path]) -> Observed:
    return observe(bundle[KEY])


def differences(before: Observed, folder: Path) -> list[Difference]:
    return list(compare(KEY, before, observe(folder)))


def test_same_version_does_not_differ(before: Observed, bundle: dict[str, Path]) -> None:
    assert differences(before, bundle[KEY]) == []


Original = Callable[..., Any]


def _pieces(original: Original) -> Original:
    """As version 4 did: a flat list of ids is rows of one."""

    def decode(self: Any, sequences: Any, *args: Any, **given: Any) -> Any:
        flat = isinstance(sequences, list) and sequences and isinstance(sequences[0], int)
        return original(self, [[one] for one in sequences] if flat else sequences, *args, **given)

    return decode


def _without_mask(original: Original) -> Original:
    def call(self: Any, *args: Any, **given: Any) -> Any:
        return original(self, *args, **{"return_attention_mask": False, **given})

    return call


def _default_list(original: Original) -> Original:
    def render(self: Any, *args: Any, **given: Any) -> Any:
        return original(self, *args, **{"return_dict": False, **given})

    return render


@pytest.mark.parametrize(
    ("method", "planted", "kind", "call", "case"),
    [
        ("batch_decode", _pieces, "calls", "batch_decode", "flat"),
        ("__call__", _without_mask, "calls", "__call__", "pair"),
        ("apply_chat_template", _default_list, "calls", "apply_chat_template", "chat_by_default"),
    ],
)
def test_changed_call_is_seen(
    method: str,
    planted: Callable[[Original], Original],
    kind: str,
    call: str,
    case: str,
    before: Observed,
    bundle: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        PreTrainedTokenizerBase, method, planted(getattr(PreTrainedTokenizerBase, method))
    )
    found = {(one.kind, one.call, one.case) for one in differences(before, bundle[KEY])}
    assert (kind, call, case) in found


def test_removed_method_and_swallowed_setting_are_seen(
    before: Observed, bundle: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Any) -> Any:
        raise AttributeError("it has no attribute num_special_tokens_to_add")

    kind = type(AutoTokenizer.from_pretrained(str(bundle[KEY])))
    monkeypatch.setattr(kind, "num_special_tokens_to_add", property(gone))
    swallowed = property(lambda _: 4096, lambda *_: None)
    monkeypatch.setattr(kind, "model_max_length", swallowed, raising=False)
    found = {(one.kind, one.call) for one in differences(before, bundle[KEY])}
    assert ("errors and warnings", "num_special_tokens_to_add") in found
    assert ("settings", "model_max_length") in found


def test_wrong_call_names_its_place(tmp_path: Path) -> None:
    path = tmp_path / "public_calls.toml"
    path.write_text('[one]\ncall = "encode"\nargument = ["Hi"]\n')
    with pytest.raises(DataError, match=r"public_calls.toml: \[one\].*argument"):
        read_public_calls(path)


def test_what_loads_models_is_lent_by_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that the environment has itself is hidden by what is lent."""
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path))
    other = Environment(Path(f"{sys.executable}-other"), {"numpy": "1.26.4", "accelerate": "1.0"})
    lent = with_lent(other)
    assert can_load(lent) and not can_load(other)
    assert lent.lent_folder is not None
    names = {path.name for path in lent.lent_folder.iterdir()}
    assert "torch" in names and not names & {"numpy", "accelerate"}
    assert all(path.is_symlink() for path in lent.lent_folder.glob("[!.]*"))
    assert with_lent(other) == lent
    assert "accelerate" not in lent.lent
    here = Environment(Path(sys.executable), {"torch": "1", "accelerate": "1", "bitsandbytes": "1"})
    assert with_lent(here) == here and can_load(here)


def test_lent_packages_are_seen_only_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lent_module.py").write_text("")
    lent = Environment(Path(sys.executable), {}, {"lent": "1"}, tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    codes = [run_in(lent, "lent_module", lent=each).returncode for each in (True, False)]
    assert codes[0] == 0 and codes[1] != 0
