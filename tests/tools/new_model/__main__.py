"""Draft a model's data from its folder, and prove it: `python -m tests.tools.new_model`.

1. `python -m tests.tools.new_model KEY DIR` examines the folder, drafts what its files contain,
runs the contracts in a copy of the project, declares what the model does otherwise, each with a
reason, and runs them again. It ends with what you should look at, or with findings that no
declaration may hide: repair the files then. Nothing is written.
DIR needs tokenizer.json, tokenizer_config.json and config.json; a folder that an adapter was
saved to needs no config.json.
2. With --write the model is added to fixtures: its table to models.toml, what its files are to
recipes/KEY.json, and what it does otherwise to exceptions/KEY.json. --update replaces a draft.
3. Review them: they show what the files contain, not what is right. A fault that one file has
alone, such as another word in the template or two tokens swapped, is a fact to a draft. Prompts
with functions are tested if the template writes them: `tools` is among the capabilities then.
4. --record also records the snapshots. A fine-tune's are its base's where they do not differ.
With --source hub, DIR is a repository, ORG/NAME, and the draft is pinned to the commit that was
fetched; --revision names another than that of main.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.harness.console import exit_status, say
from tests.harness.data.exceptions import EXCEPTIONS
from tests.harness.data.recipes import RECIPES
from tests.harness.data.registry import REGISTRY, Model, model_of, registry
from tests.harness.data.schema import read_tables
from tests.harness.errors import AssetError
from tests.harness.files import FIXTURES, PROJECT, write_atomically
from tests.harness.redaction import redact
from tests.harness.sources.folders import ALL
from tests.harness.text import harmless
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.settings import reads_typed_eos

from .base import differences, find_base
from .exceptions import draft_exceptions, known_in, of_changed_tokens, to_look_at
from .folder import load_tokenizer, review, whole_folder
from .functions import untested
from .repository import fetched
from .table import draft_recipe, draft_table, over_base, to_toml
from .trial import Outcome, files_of, grouped, known_faults, project_copy, run_contracts

Draft = dict[Path, str]  # what the files below fixtures are to contain


def _check_key(key: str, update: bool) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", key):
        raise AssetError(f"{key!a}: a model's key consists of small letters, digits and _")
    if key == ALL:
        raise AssetError(f"{key} stands for all models in --models: choose another key")
    if update and key not in registry():
        raise AssetError(f"{key} is not in fixtures: leave out --update")
    if key in registry() and not update:
        raise AssetError(
            f"{key} is in fixtures already: choose another key, --update it, or remove it there"
        )
    if users := [other for other, model in registry().items() if key in model.bases and update]:
        raise AssetError(f"{key}: {users[0]} is based on it: remove that first")


def _registry_text(key: str, table: str) -> str:
    """The registry with the model's table, in place of an older draft of it."""
    draft = rf"\n+(?:# review: [^\n]*\n+)?\[{key}\]\n.*?(?=\n+(?:#[^\n]*\n+)*\[\w+\]\n|\s*\Z)"
    text = re.sub(draft, "", REGISTRY.read_text("utf-8"), count=1, flags=re.DOTALL)
    return f"{text.rstrip()}\n\n\n{table}"


def _write(draft: Draft, fixtures: Path) -> None:
    """All files or none; AssetError if they cannot be written."""
    done: list[tuple[Path, str | None]] = []
    try:
        for path, text in draft.items():
            target = fixtures / path.relative_to(FIXTURES)
            target.parent.mkdir(exist_ok=True)
            done.append((target, target.read_text("utf-8") if target.exists() else None))
            if text:
                write_atomically(target, text)
            else:
                target.unlink(missing_ok=True)
    except OSError as error:
        for target, before in done:
            if before is None:
                target.unlink(missing_ok=True)
            elif target.read_text("utf-8") != before:
                write_atomically(target, before)
        what = f"fixtures cannot be written ({error.strerror or error})"
        raise AssetError(f"{what}: nothing was added; free space there, and run it again") from None


def _check_leftovers(draft: Draft, update: bool) -> None:
    """AssetError if a file of a model that fixtures do not have would be replaced."""
    for path, text in draft.items():
        if path != REGISTRY and not update and path.exists() and path.read_text("utf-8") != text:
            name = f"fixtures/{path.relative_to(FIXTURES)}"
            what = "is there, and fixtures/models.toml has no such model"
            raise AssetError(f"{name} {what}: delete it, or choose another key")


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n" if content else ""


@dataclass(frozen=True)
class _Place:
    """Where the files are, as the user named it and as they lie here."""

    name: str
    folder: Path
    revision: str = ""  # the commit, of a repository of the hub

    def command(self, key: str, *more: str) -> str:
        """What tests the model."""
        source = ["--model-dir", f"{key}={Path(self.name).resolve()}"]
        source = ["--source", "hub"] if self.revision else source
        return shlex.join(["pytest", "tests/conformance", "--models", key, *more, *source])


def _place(name: str, source: str, revision: str) -> _Place:
    if source == "hub":
        folder, commit = fetched(name, revision)
        return _Place(name, whole_folder(folder).absolute(), commit)
    return _Place(name, whole_folder(Path(name)).absolute())


def _prove(draft: Draft, key: str, model: Model, folder: Path, found: dict[str, Any]) -> Outcome:
    """Run the contracts, declare what is a known fault of a library, and run those again."""
    with project_copy() as copy:
        _write(draft, copy / "fixtures")
        outcome = run_contracts(copy, key, folder)
        outcome = _with_snapshots_to_come(outcome)
        recipe = json.loads(draft[RECIPES / f"{key}.json"])
        outcome, found["snapshots"] = of_changed_tokens(outcome, recipe)
        if faults := known_faults(key, model.bases, outcome.failed):
            kept = {name: value for name, value in found.items() if name != "snapshots"}
            draft[EXCEPTIONS / f"{key}.json"] = _as_json(kept | {"faults": faults})
            found["faults"] = faults
            _write(draft, copy / "fixtures")
            again = run_contracts(copy, key, folder, files_of(outcome, copy))
            again, _ = of_changed_tokens(_with_snapshots_to_come(again), recipe)
            declared = sum(len(fault["nodes"]) for fault in faults)
            outcome = Outcome(outcome.passed, outcome.known + declared, again.failed)
    return outcome


def _with_snapshots_to_come(outcome: Outcome) -> Outcome:
    """Without the failures that only say that nothing is recorded yet."""
    left = [each for each in outcome.failed if " snapshot is recorded" not in each.first_line]
    return replace(outcome, failed=left)


def _facts(place: _Place) -> dict[str, Any]:
    """The drafted table; what the hub has at a commit is published."""
    facts = draft_table(place.folder, load_tokenizer(place.folder))
    if place.revision:
        for file in facts["files"].values():
            file["published"] = True
        facts = {"hub_id": place.name, "revision": place.revision} | facts
    return facts


def _draft(
    key: str, place: _Place, given: str | None
) -> tuple[Draft, Model, dict[str, Any], list[str]]:
    """What is to be written, the model it makes, its exceptions, and how it differs from a base."""
    facts, folder = _facts(place), place.folder
    base = find_base(key, folder, facts, given)
    recipe = draft_recipe(folder, base.key if base else "")
    table = harmless(to_toml(key, over_base(facts, base) if base else facts))
    tables = read_tables(REGISTRY) | tomllib.loads(table)
    model = model_of(key, tables)
    # Under another name, so that exceptions of an older draft do not count.
    apart = replace(model, key=f"{key} (draft)")
    loaded = LoadedTokenizer(apart, "directory", lambda: {apart.key: folder})
    found = draft_exceptions(loaded)
    draft = {
        RECIPES / f"{key}.json": _as_json(recipe),
        EXCEPTIONS / f"{key}.json": _as_json(found),
        REGISTRY: _registry_text(key, table),  # last: it needs the others
    }
    lines = []
    if base:
        lines.append(f"{key} is based on {base.key}, and differs from it in:")
        lines += [f"  {line}" for line in differences(base, facts, recipe)] or ["  nothing"]
    if why := untested(loaded):
        lines.append(f"{key}: functions are NOT TESTED, or not to the letter: its template {why}")
    elif model.can("tools"):
        lines.append(f"{key}: prompts with functions are tested")
    if reads_typed_eos(loaded):
        lines.append(f"{key} reads EOS that a user types as the token itself, whatever it is told")
    print(redact(table), end="")
    return draft, model, found, lines


def _record(key: str, place: _Place) -> int:
    command = shlex.split(place.command(key, "--snapshot-update", "-q"))
    return subprocess.run([sys.executable, "-m", *command], cwd=PROJECT, check=False).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.new_model",
        description=__doc__,
        epilog="exit status: 0 if the contracts hold, 1 for findings, 2 for a key or a folder that "
        "cannot be used",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("key", metavar="KEY", help="the new model's key: small letters, digits, _")
    parser.add_argument("place", metavar="DIR", help="the folder, or repository, of its files")
    source = "what DIR is (default: folder)"
    parser.add_argument("--source", choices=("folder", "hub"), default="folder", help=source)
    revision = "branch, tag or commit of the repository (default: main)"
    parser.add_argument("--revision", default="main", help=revision)
    parser.add_argument("--write", action="store_true", help="add it to fixtures (default: off)")
    parser.add_argument(
        "--update",
        action="store_true",
        help="with --write: replace KEY's draft (default: off)",
    )
    parser.add_argument(
        "--record", action="store_true", help="with --write: record its snapshots (default: off)"
    )
    parser.add_argument(
        "--based-on",
        metavar="KEY",
        help="the model it was trained from (default: the nearest of the suite's own that has its "
        "merges and shape)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Draft, prove and print a model, or add it; AssetError for a key or folder that is unfit."""
    options = _parser().parse_args(arguments)
    key, started = options.key, time.process_time()
    _check_key(key, options.update)
    place = _place(options.place, options.source, options.revision)
    draft, model, found, lines = _draft(key, place, options.based_on)
    _check_leftovers(draft, options.update)
    review(place.folder)
    outcome = _prove(draft, key, model, place.folder, found)
    if options.write:
        _write(draft, FIXTURES)
    for line in lines:
        print(line)
    if look := to_look_at(found):
        print("what you should look at:", *look, sep="\n  ")
        if options.write:
            print(f"  all of them: fixtures/{(EXCEPTIONS / key).relative_to(FIXTURES)}.json")
    if faults := known_in(found):
        print("known upstream, nothing to do:", *faults, sep="\n  ")
    if outcome.failed:
        print("findings that no declaration may hide:", *grouped(outcome.failed), sep="\n  ")
    verdict = f"{len(outcome.failed)} failed" if outcome.failed else "green"
    seconds = time.process_time() - started + sum(time_of_children())
    print(
        f"{key}: {verdict}: {outcome.passed} checks passed, {outcome.known} are known failures "
        f"({seconds:.0f} s of CPU time)"
    )
    if not options.write:
        say(f"--write adds it to fixtures, where {place.command(key)} tests it")
        return int(bool(outcome.failed))
    code = _record(key, place) if options.record and not outcome.failed else 0
    recorded = options.record or outcome.failed
    say(f"next: {place.command(key, *([] if recorded else ['--snapshot-update']))}")
    return int(bool(outcome.failed or code))


def time_of_children() -> tuple[float, float]:
    """Seconds of CPU time that ended child processes took, as user and system."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime, used.ru_stime


if __name__ == "__main__":
    sys.exit(exit_status(main))
