"""README and CONTRIBUTING: every command, path and option exists, and shown output is real."""

import importlib.util
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import tests.harness
from tests.meta.conftest import PROJECT, run_anew, run_pytest

README = (PROJECT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (PROJECT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCUMENTS = {"README": README, "CONTRIBUTING": CONTRIBUTING}
BOTH = README + CONTRIBUTING

LONGEST_SECTION = 15  # lines of prose
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"\d (?:ms|MiB|a second)\b|\d,\d{3} B\b")
PACKAGES = "python|transformers|tokenizers|torch|bitsandbytes"


def without_blocks(text: str) -> str:
    return FENCE.sub("", text)


def code(text: str) -> list[str]:
    """Every command or name in code: spans, and lines of blocks of commands."""
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without_blocks(text))]
    lines = [
        line for kind, body in FENCE.findall(text) if kind == "sh" for line in body.split("\n")
    ]
    return [part for snippet in spans + lines for part in snippet.split(" && ")]


def commands(text: str) -> list[str]:
    return sorted({snippet for snippet in code(text) if snippet.startswith("pytest ")})


def sections(text: str) -> dict[str, str]:
    """The text below each heading, down to the next one."""
    parts = re.split(r"^#+ (.+)\n", without_blocks(text), flags=re.MULTILINE)
    assert len(parts[1::2]) == len(set(parts[1::2])), "a heading appears twice"
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@cache
def options_of(module: str) -> str:
    """The help of a command, `pytest` or a module's."""
    return (run_pytest("--help") if module == "pytest" else run_anew(module, "--help")).out


def test_two_commands_set_everything_up() -> None:
    lines = re.findall(r"^pip install .*", README, re.MULTILINE)
    suite, own = (line.partition(" && ") for line in lines)
    assert suite[2] == "pytest"
    assert own[2].startswith("pytest tests/meta ")
    for install, _, _ in (suite, own):
        assert all((PROJECT / path).is_file() for path in re.findall(r"-r (\S+)", install))


def masked(output: str) -> list[str]:
    """Lines without what differs from run to run: seconds, versions, the length of rules."""
    text = re.sub(r" in [\d.]+s(?: \([\d:]+\))?", " in Ns", output)
    text = re.sub(rf"\b({PACKAGES}) \d[\w.+]*", r"\1 N", text)
    return [re.sub(r"(=|_|-){3,}", r"\1\1\1", line).rstrip() for line in text.splitlines()]


@pytest.mark.parametrize(("block", "status"), [(0, 0), (1, 1)], ids=["green", "red"])
def test_output_is_that_of_a_run(
    block: int, status: int, model_copy: Callable[[str], Path]
) -> None:
    """What is shown is printed by the command above it, in this order; `...` leaves lines out."""
    shown = [text for kind, text in FENCE.findall(README) if kind == "console"]
    command, _, lines = shown[block].partition("\n")
    folder = ""
    if "my-llama" in command:
        copy = model_copy("llama3_1")
        text = (copy / "tokenizer.json").read_text(encoding="utf-8")
        assert r"\\p{N}{1,3}" in text
        (copy / "tokenizer.json").write_text(text.replace(r"\\p{N}{1,3}", r"\\p{N}"), "utf-8")
        folder = str(copy)
    words = shlex.split(command.removeprefix("$ pytest ").replace("my-llama", folder or "my-llama"))
    run = run_pytest(*words, COLUMNS="80")
    assert run.code == status, run.out[-2000:]
    printed = "\n".join(masked(run.out.replace(folder, "my-llama") if folder else run.out))
    end = 0
    for part in re.split(r"^\.\.\.$", "\n".join(masked(lines)), flags=re.MULTILINE):
        start = printed.find(part.strip("\n"), end)
        assert start >= 0, f"README shows\n{part}\nwhich is not in:\n{run.out[-4000:]}"
        end = start + len(part.strip("\n"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_sections_are_short(name: str) -> None:
    for title, text in sections(DOCUMENTS[name]).items():
        prose = [line for line in text.splitlines() if line and not line.startswith(("|", "!["))]
        assert len(prose) <= LONGEST_SECTION, f"{title}: {len(prose)} lines"


def test_every_path_exists() -> None:
    paths = re.findall(r"(?<![\w/.])(?:tests|fixtures|\.github)/[\w./-]*\w", BOTH)
    missing = [path for path in paths if not (PROJECT / path).exists() and "::" not in path]
    assert len(paths) > 40
    assert missing == []
    for document, folder in ((README, PROJECT), (CONTRIBUTING, PROJECT / ".github")):
        for link in re.findall(r"\]\((?!https)([^)]+)\)", document):
            assert (folder / link).is_file(), link


def test_every_module_exists() -> None:
    modules = set(re.findall(r"\btests\.(?:tools|meta)[\w.]*\w", BOTH))
    assert len(modules) > 10
    for module in modules:
        spec = importlib.util.find_spec(module)
        assert spec, module
        if spec.submodule_search_locations is not None:
            assert importlib.util.find_spec(f"{module}.__main__"), f"{module} is no command"


def test_every_command_is_listed() -> None:
    """A command that no document names is not found by those who need it."""
    folder = PROJECT / "tests" / "tools"
    modules = [path for path in folder.glob("[!_]*.py") if "__main__" in path.read_text("utf-8")]
    packages = [path.parent for path in folder.glob("*/__main__.py")]
    assert {"fetch", "drift"} <= {path.stem for path in modules + packages}
    for path in modules + packages:
        assert f"python -m tests.tools.{path.stem}" in README, path


def test_every_option_exists() -> None:
    """An option behind a command is that command's; one alone is pytest's or a command's."""
    alone: set[str] = set()
    used = {"pytest"}
    for snippet in code(BOTH):
        module = re.search(r"-m (tests[\w.]+)", snippet)
        options = re.findall(
            r"(?<!\S)--[a-z][\w-]*", snippet[module.end() :] if module else snippet
        )
        if module and options:
            used.add(module[1])
        owner = module[1] if module else "pytest" if snippet.startswith("pytest") else ""
        if owner and options:
            assert not [name for name in options if name not in options_of(owner)], snippet
        elif snippet.startswith("--"):
            alone |= set(options)
    helps = "".join(map(options_of, sorted(used)))
    assert {option for option in alone if option not in helps} == set()


def test_every_option_of_ours_is_in_readme() -> None:
    group = options_of("pytest").partition("model conformance:")[2].partition("\n\n")[0]
    ours = set(re.findall(r"^  (--[a-z-]+)", group, re.MULTILINE))
    assert {"--source", "--gate"} <= ours
    assert {option for option in ours if f"| `{option}" not in README} == set()


# Without the suite's own tests, and without what would count them anew.
TAKEN = [it for it in commands(BOTH) if "tests/meta" not in it and "--evidence-update" not in it]


@pytest.mark.parametrize("command", TAKEN)
def test_pytest_takes_every_command(command: str, tmp_path: Path) -> None:
    """Collected, not run: a wrong option or path is status 4, a selection of nothing 5."""
    for name in ("tokenizer.json", "adapter_config.json"):  # a folder of a model or adapter
        (tmp_path / name).touch()
    given = re.sub(r"=(report|DIR)\b", f"={tmp_path}", command.replace("KEY", "phi3"))
    given = re.sub(r"=FILE\b", f"={tmp_path / 'tokenizer.json'}", given)
    one = () if "--models" in given else ("--models", "llama3_1")  # all would only take longer
    run = run_pytest(*shlex.split(given)[1:], *one, "--collect-only", "-q")
    first_to_be_recorded = "baseline.json: no such file" in run.out
    assert run.code in (0, 1) or first_to_be_recorded, run.out[-2000:]


def pins() -> dict[str, str]:
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_figures_name_their_versions() -> None:
    """The versions that were measured are the pinned ones, or README calls them older."""
    measured = {
        title: text
        for title, text in sections(README).items()
        if FIGURE.search(re.sub(r"`[^`]*`", "", text))
    }
    assert measured
    for title, text in measured.items():
        paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
        stated = [part for part in paragraphs if re.search(r"\b[Mm]easured\b.* with ", part)]
        tables = [index for index, part in enumerate(paragraphs) if part.startswith("| ")]
        assert stated, f"{title}: figures without the versions they were measured with"
        assert paragraphs.index(stated[0]) < min(tables), f"{title}: a table before its versions"
        for part in stated:
            numbers = re.findall(rf"\b({'|'.join(pins())}) (\d[\d.]*\d)", part)
            assert numbers, part
            is_old = any(not f"{pins()[name]}.".startswith(f"{it}.") for name, it in numbers)
            assert is_old == ("older than the pinned" in part), part


def test_map_of_the_harness_is_complete() -> None:
    folder = PROJECT / "tests" / "harness"
    parts = {path.name for path in folder.glob("[!_]*")}
    table = sections(CONTRIBUTING)["Where things are"].partition("| package |")[2]
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == parts
    names = {name.removesuffix(".py") for name in parts}
    assert names <= set(re.findall(r"\w+", tests.harness.__doc__ or ""))


def test_functions_in_contributing_exist() -> None:
    rows = re.findall(r"^\|[^|]*\| `(\S+\.py)` \| `(\w+)` \|$", CONTRIBUTING, re.MULTILINE)
    assert len(rows) > 5
    for path, name in rows:
        text = (PROJECT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", text, re.MULTILINE), f"{path}: {name}"
