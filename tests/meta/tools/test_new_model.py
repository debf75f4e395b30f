"""A model of the user's own, in a folder that no package holds: drafted, tested, skipped."""

import json
import shlex
import shutil
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.registry import FRAMES, default_keys, read_registry
from tests.harness.errors import AssetError
from tests.harness.plugins.results import with_sources
from tests.harness.sources.folders import Sources
from tests.harness.text import MISLEADING
from tests.meta.conftest import Run, copy_project, run_anew, run_pytest
from tests.meta.support.small_project import shrink
from tests.tools.new_model.folder import load_tokenizer
from tests.tools.new_model.table import draft_table, to_toml
from tests.tools.new_model.template_format import detect_format, renderer

REASON = "mine: no package holds its files; give --model-dir mine=DIR"
PRICES = "tests/conformance/test_prices.py"
# What the registry knows from other sources than the folder.
ELSEWHERE = ("key", "hub_id", "revision", "quantized_on", "weights")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Path:
    """A model's folder, its name one that a shell would cut."""
    return Path(shutil.copytree(bundle["phi3"], tmp_path_factory.mktemp("own") / "my model"))


@pytest.fixture(scope="module")
def project_of_mine(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> tuple[Path, Run]:
    """A copy of the project with the folder's draft in it, and the output of drafting."""
    project = shrink(copy_project(tmp_path_factory.mktemp("project") / "copy"))
    return project, draft("mine", str(folder), "--write", cwd=project)


def draft(*arguments: str, cwd: Path) -> Run:
    """Run the command."""
    return run_anew("tests.tools.new_model", *arguments, cwd=cwd)


@pytest.mark.slow  # each loads a tokenizer twice
@pytest.mark.parametrize("key", default_keys())
def test_draft_of_a_known_model_is_the_registrys(bundle: dict[str, Path], key: str) -> None:
    if key not in bundle:
        pytest.skip("no package holds its files")
    # Read anew: transformers adds to the rope_scaling of a config that it is given.
    facts = draft_table(bundle[key], load_tokenizer(bundle[key]))
    model = read_registry()[key]
    registered = json.loads(json.dumps(asdict(model)))
    left_out = {*ELSEWHERE, "price_mass", *(FRAMES if model.opening else ())} - {"functions"}
    for part in (*facts["files"].values(), *registered["files"].values()):
        part.pop("published")
    registered["tokenizer"] = {name: registered["tokenizer"][name] for name in facts["tokenizer"]}
    for name in set(facts) - left_out:
        assert facts[name] == registered[name], name
    assert ("turn" in facts) == (model.can("chat") and not model.opening)
    assert bool(facts.get("edges")) == bool(model.opening)
    # As text and back it is the same, in the same order: config.json is built in that order.
    assert json.dumps(tomllib.loads(to_toml(key, facts))[key]) == json.dumps(facts)


def test_a_written_draft_holds(project_of_mine: tuple[Path, Run], folder: Path) -> None:
    project, drafted = project_of_mine
    assert drafted.code == 0, drafted.out
    assert drafted.line("[mine]")
    assert drafted.out.startswith("# review: ")
    last = drafted.out.splitlines()[-1]
    assert last.startswith("next: pytest tests/conformance --models mine --snapshot-update ")
    assert "--snapshot-update" in last
    assert drafted.line("mine is based on phi3, and differs from it in:")
    assert drafted.line("mine: green: ")
    held = run_pytest(
        *("tests/conformance/test_files.py", PRICES),
        *("--models", "mine", "--model-dir", f"mine={folder}", "-q"),
        cwd=project,
    )
    assert held.code == 0, held.out[-3000:]


def test_a_draft_takes_nothing_that_is_there(
    project_of_mine: tuple[Path, Run], folder: Path
) -> None:
    project, _ = project_of_mine
    before = (project / "fixtures" / "models.toml").read_bytes()
    again = draft("mine", str(folder), "--write", cwd=project)
    assert (again.code, len(again.out.splitlines())) == (2, 1)
    assert again.out.startswith("mine is in fixtures already: ")
    assert (project / "fixtures" / "models.toml").read_bytes() == before


def test_without_its_folder_it_is_skipped_among_all_and_refused_by_name(
    project_of_mine: tuple[Path, Run],
) -> None:
    project, _ = project_of_mine
    run = run_pytest(PRICES, "--models", "all", "-q", "-rs", "--gate", cwd=project)
    assert run.code == 1
    assert run.line("SKIPPED").endswith(REASON)
    assert run.line("2 passed, 2 skipped")
    assert run.line("gate: 2 ") == f"gate: 2 skipped: {REASON}"
    assert run.line("gate: model mine is new: ")
    for names in ("phi3,mine", "all,mine"):
        named = run_pytest(PRICES, "--models", names, cwd=project)
        assert (named.code, named.line("ERROR: ")) == (4, f"ERROR: {REASON}")
    assert run_pytest(PRICES, "--models", "all,phi3", "--collect-only", cwd=project).code == 0


@pytest.mark.slow
def test_a_draft_is_no_base_of_itself_or_of_another(
    project_of_mine: tuple[Path, Run], folder: Path
) -> None:
    project, _ = project_of_mine
    for arguments in (("mine", str(folder), "--write", "--update"), ("theirs", str(folder))):
        drafted = draft(*arguments, cwd=project)
        assert drafted.code == 0, drafted.out[-3000:]
        assert drafted.line(f"{arguments[0]} is based on phi3, and differs from it in:")
    itself = draft("mine", str(folder), "--update", "--based-on", "mine", cwd=project)
    assert (itself.code, len(itself.out.splitlines())) == (2, 1)
    assert itself.out.startswith("--based-on mine: allowed are ")


def test_assets_leave_it_out_unless_it_is_named(project_of_mine: tuple[Path, Run]) -> None:
    project, _ = project_of_mine
    every = run_anew("tests.tools.fetch", cwd=project)
    assert every.code == 0
    assert sorted(line.partition("\t")[0] for line in every.out.splitlines()) == sorted(
        ["phi3", f"left out: {REASON}"]
    )
    named = run_anew("tests.tools.fetch", "phi3", "mine", cwd=project)
    assert (named.code, named.out) == (2, f"{REASON}\n")


def test_what_is_printed_can_be_typed(project_of_mine: tuple[Path, Run], folder: Path) -> None:
    """The printed command finds the same fault; without the folder it would find nothing."""
    project, _ = project_of_mine
    broken = Path(shutil.copytree(folder, folder.with_name("broken model")))
    settings = broken / "tokenizer_config.json"
    settings.write_text(settings.read_text("utf-8").replace('"left"', '"right"'), "utf-8")
    first = run_pytest(
        *("tests/conformance/test_files.py", "-q", "-k", "padding_side"),
        *("--models", "mine", "--model-dir", f"mine={broken}"),
        cwd=project,
    )
    typed = shlex.split(first.line("rerun: ").removeprefix("E").strip())
    assert typed[:2] == ["rerun:", "pytest"]
    again = run_pytest(*typed[2:], "-q", cwd=project)
    assert again.line("mine: padding_side") == first.line("mine: padding_side")


def test_commands_repeat_only_what_was_given() -> None:
    folders = {"mine": Path("/own"), "min": Path("/other"), "ine": Path("/third")}
    assert with_sources("pytest", Sources(), ("mine",)) == "pytest"
    own, hub = Sources("bundle", folders), Sources("hub", folders)
    assert with_sources("pytest", own, ("mine", "words.one")) == "pytest --model-dir mine=/own"
    assert with_sources("pytest", hub, ("phi3", "mine")).endswith("hub --model-dir mine=/own")
    assert with_sources("pytest", hub, ("phi3",)) == "pytest --source hub"


def only_slow(folder: Path) -> None:
    """Puts SentencePiece's file in the place of tokenizer.json."""
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")


def other_json(name: str, **changes: Any) -> Callable[[Path], object]:
    """Changes keys of a JSON file."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_bytes())
        (folder / name).write_text(json.dumps(content | changes), "utf-8")

    return change


WORDS = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
NAMED = [{"name": "rag", "template": "x"}]
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "named_templates": (
        other_json("tokenizer_config.json", chat_template=NAMED),
        "chat_template is a list of named templates (rag): keep one of them",
    ),
    "no_folder": (shutil.rmtree, "there is no such folder"),
    "no_tokenizer": (
        lambda folder: (folder / "tokenizer.json").unlink(),
        "there is no tokenizer.json",
    ),
    "slow": (only_slow, 'there is no tokenizer.json, only tokenizer.model: type python -c "from '),
    "unknown_type": (other_json("config.json", model_type="x"), "knows no model_type 'x'"),
    "no_bpe": (
        other_json("tokenizer.json", model=WORDS),
        "tokenizer.json: WordLevel; the contracts are for BPE",
    ),
    "no_json": (lambda folder: (folder / "tokenizer.json").write_text("{"), " is not JSON "),
}


@pytest.mark.parametrize("name", BAD)
def test_a_folder_that_cannot_be_drafted_is_one_line(
    model_copy: Callable[[str], Path], name: str
) -> None:
    spoil, message = BAD[name]
    copy = model_copy("phi3")
    spoil(copy)
    with pytest.raises(AssetError) as caught:
        load_tokenizer(copy)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_control_characters_are_shown_and_not_sent(
    project: Path, model_copy: Callable[[str], Path]
) -> None:
    """C0, C1 and what turns the direction of text, in a value that the draft repeats."""
    copy, character = model_copy("phi3"), "\x1b[2J\x85\x9b5m\u202e"
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"note": f"a{character}b"}))
    drafted = draft("mine", str(copy), "--write", cwd=shrink(project))
    assert drafted.code == 0, drafted.out
    assert not MISLEADING.search(drafted.out)
    written = tomllib.loads((project / "fixtures" / "models.toml").read_text("utf-8"))
    assert written["mine"]["architecture"]["note"] == f"a{character}b"


@pytest.mark.slow  # it drafts twice
def test_a_full_disk_adds_nothing_and_is_a_line(
    project: Path, small_disk: Path, bundle: dict[str, Path]
) -> None:
    shutil.copytree(shrink(project) / "fixtures", small_disk / "fixtures")
    shutil.rmtree(project / "fixtures")
    (project / "fixtures").symlink_to(small_disk / "fixtures")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(bytes(4096)):
            pass
    before = listing(small_disk)
    drafted = draft("mine", str(bundle["phi3"]), "--write", cwd=project)
    assert drafted.code == 2
    assert drafted.out.endswith(
        "\nfixtures cannot be written (No space left on device): nothing was added; free space "
        "there, and run it again\n"
    )
    assert listing(small_disk) == before
    filler.unlink()
    assert draft("mine", str(bundle["phi3"]), "--write", cwd=project).code == 0


def listing(folder: Path) -> dict[Path, int]:
    """All files and their sizes."""
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def test_half_a_draft_is_named(project: Path, bundle: dict[str, Path]) -> None:
    (project / "fixtures" / "recipes" / "mine.json").write_text("{}")
    drafted = draft("mine", str(bundle["phi3"]), "--write", cwd=project)
    assert drafted.code == 2
    assert drafted.line("fixtures/recipes/mine.json is there, and ").endswith("choose another key")


# A template -> whether what the facts say is what it writes.
TEMPLATES = {
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}": True,
    "{% for m in messages %}<{{ m.role }}>{{ m.content|trim }}{}\n{% endfor %}": True,
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ loop.index }}{% endfor %}": False,
    "{% for m in messages %}{{ m.content }}\n{% endfor %}": False,
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_frames_are_drafted_only_where_they_hold(bundle: dict[str, Path], template: str) -> None:
    tokenizer = load_tokenizer(bundle["phi3"])
    tokenizer.chat_template = template
    facts = detect_format(renderer(tokenizer))
    assert bool(facts) == TEMPLATES[template], facts
    if facts:
        assert facts.get("trims_content", False) == ("trim" in template)


@pytest.mark.slow
def test_what_the_draft_cannot_hold_is_said(
    project: Path, model_copy: Callable[[str], Path]
) -> None:
    """Each by file and key: nothing of a folder goes unseen."""
    copy = model_copy("phi3")
    (copy / "added_tokens.json").write_text('{"<|end|>": 5}')
    template = json.loads((copy / "tokenizer_config.json").read_bytes())["chat_template"]
    (copy / "chat_template.jinja").write_text(template)
    other_json("tokenizer_config.json", extra_ids=None)(copy)
    run = draft("mine", str(copy), cwd=shrink(project))
    assert run.code == 1, run.out
    assert run.line("  mine: added_tokens.json: '<|end|>' = 5, tokenizer.json has 32007; likely ")
    for line in (
        "review: added_tokens.json: '<|end|>' = 5, tokenizer.json has 32007",
        "review: tokenizer_config.json: extra_ids = null, declared 'nowhere'",
    ):
        assert run.line(line)
