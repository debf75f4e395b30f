"""Adapters: their bytes against peft's own on models of full size, and what is said of bad ones."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.adapters.folder import Adapter, given_adapter, made_adapters, parse_adapters
from tests.harness.adapters.folder_checks import check_base
from tests.harness.adapters.settings import read_settings
from tests.harness.adapters.tokenizer import tokenizer_differences
from tests.harness.data.adapters import ADAPTERS, read_adapters
from tests.harness.data.registry import registry
from tests.harness.errors import AssetError, ContractBroken, DataError
from tests.harness.memory.adapter import adapter_bytes, explain_adapter
from tests.harness.memory.footprint import footprint
from tests.harness.model.loading import prepared_tokenizer
from tests.harness.sources.checkpoints import random_model
from tests.meta.conftest import run_pytest
from tests.meta.support.tiny_models import tiny

TASK = {"r": 32, "lora_alpha": 64, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}
LLAMA = 5_591_540_224  # bytes of the base in NF4


def written(folder: Path, **settings: Any) -> Path:
    """A folder with these settings and no tensors."""
    folder.mkdir(exist_ok=True)
    content = json.dumps({"peft_type": "LORA", **settings})
    (folder / "adapter_config.json").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path, bundle: dict[str, Path]) -> Path:
    """A sound adapter of SmolLM2 to do harm to."""
    return made_adapters(registry()["smollm2"], bundle["smollm2"], tmp_path / "made")[0].folder


def given(folder: Path) -> Adapter:
    """What `--adapter smollm2=folder` makes of it."""
    return given_adapter(registry()["smollm2"], folder)


def test_the_tasks_adapter_takes_the_bytes_that_people_report(tmp_path: Path) -> None:
    model = registry()["llama3_1"]
    targets = read_settings(written(tmp_path, **TASK)).on(model.architecture)
    parameters = sum(target.parameters for target in targets.values())
    assert len(targets) == 128
    assert parameters == 27_262_976
    assert adapter_bytes(parameters) == 109_051_904
    assert footprint(model, "nf4").total + adapter_bytes(parameters) == 5_700_592_128


def test_its_dtype_explains_the_bytes_in_bf16(tmp_path: Path) -> None:
    targets = read_settings(written(tmp_path, **TASK)).on(registry()["llama3_1"].architecture)
    by_layer = {name: target.parameters for name, target in targets.items()}
    assert explain_adapter(-54_525_952, by_layer, LLAMA) == (
        "-54,525,952 B = the adapter is in bfloat16, not float32 (5,646.1 MB in all, 5,700.6 MB "
        "expected)"
    )
    assert explain_adapter(-4 * 32 * 8192, by_layer, LLAMA).endswith(
        "= one q_proj without its adapter"
    )
    assert explain_adapter(7, by_layer, LLAMA) == "+7 B: unexplained"


@pytest.mark.parametrize(
    "settings",
    [
        TASK,
        {"r": 8, "lora_alpha": 16, "target_modules": "all-linear", "use_rslora": True},
        {"r": 4, "target_modules": r".*\.(1|3)\.mlp\.(up|down)_proj"},
        {
            "r": 4,
            "target_modules": ["q_proj", "mlp.gate_proj"],
            "exclude_modules": ["layers.2.self_attn.q_proj"],
            "layers_to_transform": [0, 2],
            "rank_pattern": {"gate_proj": 2, r"layers\.0\.self_attn\.q_proj": 16},
            "alpha_pattern": {"q_proj": 3},
        },
    ],
    ids=["task", "all_linear", "pattern", "by_layer"],
)
@pytest.mark.parametrize("key", ["llama3_1", "smollm2", "phi3"])
def test_targets_ranks_and_scales_are_those_of_peft(
    key: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    """On the model of full size without memory, which peft wraps as it would any."""
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer

    own = read_settings(written(tmp_path, **settings)).on(registry()[key].architecture)
    config = LoraConfig(task_type="CAUSAL_LM", **settings)
    model = random_model(registry()[key], "meta")
    if not own:  # no layer of this architecture is called so
        with pytest.raises(ValueError, match="not found in the base model"):
            get_peft_model(model, config)
        return
    with warnings.catch_warnings(action="ignore"):
        wrapped = get_peft_model(model, config)
    found = {
        name.removeprefix("base_model.model."): (module.r["default"], module.scaling["default"])
        for name, module in wrapped.named_modules()
        if isinstance(module, LoraLayer)
    }
    assert found == {name: (target.rank, target.scale) for name, target in own.items()}
    trained = sum(p.numel() for name, p in wrapped.named_parameters() if "lora_" in name)
    assert trained == sum(target.parameters for target in own.values())


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "ia3": ({"peft_type": "IA3"}, "peft_type is 'IA3', and only LORA is covered"),
    "prompt": ({"peft_type": "PROMPT_TUNING"}, "peft_type is 'PROMPT_TUNING', and only LORA"),
    "none": ({"peft_type": None}, "peft_type is None, and only LORA is covered"),
    "dora": ({"use_dora": True}, "use_dora is True, which these checks do not cover"),
    "modules": ({"modules_to_save": ["lm_head"]}, "modules_to_save is ['lm_head'], which these"),
    "unknown": ({"use_next_year": 1}, "use_next_year is 1, which these checks do not cover"),
    "pissa": ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa', which changes the"),
    "rank": ({"r": 0}, "r is 0, expected a number from 1 to 65,536"),
    "rank_text": ({"r": "8"}, "r is '8', expected a number from 1 to 65,536"),
    "alpha": ({"lora_alpha": None}, "lora_alpha is None, expected a number"),
    "targets": ({"target_modules": None}, "target_modules is None, expected a pattern or a list"),
    "slow": ({"target_modules": "(.*)*x"}, "target_modules is '(.*)*x', expected a pattern"),
    "table": ({"rank_pattern": {"q_proj": -1}}, "rank_pattern is {'q_proj': -1}, expected ranks"),
    "rslora": ({"use_rslora": "yes"}, "use_rslora is 'yes', expected true or false"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_cannot_be_checked_are_one_line(name: str, folder: Path) -> None:
    changes, says = SETTINGS[name]
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes), encoding="utf-8")
    with pytest.raises(AssetError) as caught:
        given(folder)
    line = str(caught.value)
    assert line.startswith(f"smollm2: adapter_config.json in {folder}: {says}")
    assert line.endswith(": repair the folder, or leave out --adapter smollm2")
    assert "\n" not in line


def cut(folder: Path) -> None:
    """A file of which a part is missing."""
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def emptied(folder: Path) -> None:
    """A file of nothing."""
    (folder / "adapter_model.safetensors").write_bytes(b"")


def pickled(folder: Path) -> None:
    """The format of old versions."""
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def not_json(folder: Path) -> None:
    """Settings that were cut off."""
    (folder / "adapter_config.json").write_text('{"peft_type": "LO', encoding="utf-8")


def linked(folder: Path) -> None:
    """Settings that lead out of the folder."""
    path = folder / "adapter_config.json"
    shutil.move(path, folder.parent / "elsewhere.json")
    path.symlink_to(folder.parent / "elsewhere.json")


def tokenizer_broken(folder: Path) -> None:
    """A tokenizer that would end the process of whoever loads it."""
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE"}}', "utf-8")


HARMS: dict[Callable[[Path], None], str] = {
    cut: "adapter_model.safetensors in FOLDER has ",
    emptied: "adapter_model.safetensors in FOLDER is empty (0 bytes)",
    pickled: "adapter_model.safetensors in FOLDER is missing: adapter_model.bin is a pickle, which",
    not_json: "adapter_config.json in FOLDER is not JSON",
    linked: "adapter_config.json in FOLDER is a link out of the folder",
    tokenizer_broken: "tokenizer.json in FOLDER ",
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_broken_folder_is_one_line(harm: Callable[[Path], None], folder: Path) -> None:
    harm(folder)
    with pytest.raises(AssetError) as caught:
        given(folder)
    assert str(caught.value).startswith(f"smollm2: {HARMS[harm].replace('FOLDER', str(folder))}")
    assert str(caught.value).endswith("repair the folder, or leave out --adapter smollm2")


def test_a_sound_folder_is_read(folder: Path) -> None:
    assert given(folder).fits


def test_option_is_key_and_folder(folder: Path, tmp_path: Path) -> None:
    assert parse_adapters([f"smollm2={folder}"]) == {"smollm2": folder}
    for option, says in {
        "phi3=x": "write KEY=DIR; allowed are llama3_1, smollm2",
        "smolm2=x": "write KEY=DIR; did you mean smollm2? allowed are llama3_1, smollm2",
        f"smollm2={tmp_path}": f"there is no adapter_config.json in {tmp_path} (No such file",
    }.items():
        with pytest.raises(AssetError) as caught:
            parse_adapters([option])
        assert str(caught.value).startswith(f"--adapter {option}: {says}")


def test_bases_are_known_by_name_revision_or_weights(folder: Path, tmp_path: Path) -> None:
    path = folder / "adapter_config.json"
    content = json.loads(path.read_bytes())

    def judged(**changes: Any) -> str:
        path.write_text(json.dumps(content | changes), encoding="utf-8")
        try:
            check_base(given(folder))
        except ContractBroken as broken:
            return broken.first_line
        return ""

    assert judged() == judged(revision="main") == ""
    assert "it was trained on another base" in judged(base_model_name_or_path="gpt2")
    assert "it was trained on another base" in judged(base_model_name_or_path=None)
    random_model(tiny(), "cpu").save_pretrained(tmp_path / "other")
    other = judged(base_model_name_or_path=str(tmp_path / "other"))
    assert "that folder holds other weights than the base's" in other


def test_another_revision_of_the_base_is_named(tmp_path: Path, bundle: dict[str, Path]) -> None:
    model = tiny()
    (made, *_) = made_adapters(model, bundle["llama3_1"], tmp_path / "made")
    check_base(made)
    path = made.folder / "adapter_config.json"
    content = json.loads(path.read_bytes()) | {"revision": "main-2"}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ContractBroken, match=f"revision is 'main-2', expected '{model.revision}'"):
        check_base(given_adapter(model, made.folder))


@pytest.mark.parametrize("key", ["llama3_1", "qwen2", "phi3"])
def test_a_tokenizer_that_was_only_saved_differs_in_nothing(
    key: str, bundle: dict[str, Path], tmp_path: Path
) -> None:
    """As the task sets it, and as the running transformers writes it, which changes its bytes."""
    prepared_tokenizer(bundle[key]).save_pretrained(tmp_path)
    assert tokenizer_differences(bundle[key], tmp_path) == {}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[smollm2", "[smolm2", "[smolm2] is no model: did you mean smollm2?"),
        ("rank = 4", "rank = 0", "[smollm2] made.plain.rank: "),
        ("dropout", "drop", "made.task.drop: unknown key"),
    ],
)
def test_a_wrong_table_is_one_line(old: str, new: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "adapters.toml"
    path.write_text(ADAPTERS.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_adapters(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_adapter_that_peft_saved_is_green(tmp_path: Path, bundle: dict[str, Path]) -> None:
    """With the tokenizer that transformers saves beside it, and its base named by hub id."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        base_model_name_or_path="HuggingFaceTB/SmolLM2-135M-Instruct",
        r=16,
        lora_alpha=32,
        target_modules="all-linear",
        lora_dropout=0.05,
        task_type="CAUSAL_LM",
    )
    base = random_model(registry()["smollm2"], "cpu")
    base.name_or_path = config.base_model_name_or_path
    with warnings.catch_warnings(action="ignore"):
        wrapped = get_peft_model(base, config)
    torch.manual_seed(0)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    with warnings.catch_warnings(action="ignore"):
        wrapped.save_pretrained(tmp_path)
    prepared_tokenizer(bundle["smollm2"]).save_pretrained(tmp_path)
    options = ("--models", "smollm2", "--adapter", f"smollm2={tmp_path}", "-m", "not gpu", "--gate")
    run = run_pytest("tests/quantized/test_adapters.py", *options, "--gate-partial")
    assert run.code == 0, run.out[-2000:]
    run.line("13 passed")


def test_a_folder_without_an_adapter_is_a_wrong_option() -> None:
    folder = Path(__file__).parent
    run = run_pytest("tests/quantized/test_adapters.py", "--adapter", f"smollm2={folder}")
    assert run.code == 4
    run.line(f"--adapter smollm2={folder}: there is no adapter_config.json in {folder}")
