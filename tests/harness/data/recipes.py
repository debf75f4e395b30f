"""Recipes (`fixtures/recipes/KEY.json`): what a model's files are built from."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from ..errors import DataError
from ..files import FIXTURES
from ..text import allowed_values
from .registry import registry
from .schema import STRICT, parse, read_json

RECIPES = FIXTURES / "recipes"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_MARKERS = (
    "@vocabulary",
    "@merges",
    "@added_tokens",
    "@added_tokens_decoder",
    "@architecture",
    "@template",
)


def _check_markers(content: Any) -> Any:
    """ValueError for a text that begins with @ and is not a marker the bundle fills."""
    if isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            _check_markers(value)
    elif isinstance(content, str) and content.startswith("@") and content not in _MARKERS:
        raise ValueError(f"unknown marker {content}: {allowed_values(content, _MARKERS)}")
    return content


Content = Annotated[dict[str, Any] | str, AfterValidator(_check_markers)]


@dataclass(frozen=True, config=STRICT)
class Origin:
    """A file inside a downloaded package; `size` is the number of tokens to take from a GGUF."""

    package: str
    path: str
    size: int = 0
    replace: tuple[str, str] | None = None  # the one correction a template needs


@dataclass(frozen=True, config=STRICT)
class FileRecipe:
    """One file: its JSON content with placeholders, and how its text is laid out."""

    content: Content
    newline: str = "\n"
    end: str = "\n"
    inline: tuple[str, ...] = ()  # keys whose value is on one line


@dataclass(frozen=True, config=STRICT)
class AddedRow:
    """`count` added tokens from `id` on; `#` in their content stands for `number` and on."""

    id: int
    content: str
    flags: tuple[Literal["single_word", "lstrip", "rstrip", "normalized", "special"], ...] = ()
    number: int = 0
    count: int = 1


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """Everything a model's folder is built from, short of the vocabulary."""

    added_tokens: tuple[AddedRow, ...]
    files: dict[str, FileRecipe]
    # Beside `extends`: tokens in place of those of the same id, or beside them.
    changed_tokens: tuple[AddedRow, ...] = ()
    vocabulary: Origin | None = None  # None: no package holds it, so nothing can be built
    template: Origin | None = None

    def tokens(self) -> list[dict[str, Any]]:
        """The added tokens as `tokenizer.json` writes them, ranges written out."""
        rows: dict[int, dict[str, Any]] = {}
        for row in (*self.added_tokens, *self.changed_tokens):
            flags = {flag: flag in row.flags for flag in FLAGS}
            for offset in range(row.count):
                content = row.content.replace("#", str(row.number + offset))
                rows[row.id + offset] = {"id": row.id + offset, "content": content, **flags}
        return [rows[index] for index in sorted(rows)]


def read_recipe(key: str, folder: Path = RECIPES) -> Recipe:
    """The recipe of a model; `"extends": OTHER` takes what it leaves out from OTHER's.

    Raises DataError, naming file and key, for unknown keys, or files other than the registry's.
    """
    path = folder / f"{key}.json"
    recipe = parse(Recipe, _table(key, folder), path, key)
    pinned = set(registry()[key].files)
    for name in sorted(pinned ^ set(recipe.files)):
        side = "recipe" if name in pinned else "table of fixtures/models.toml"
        raise DataError(f"recipes/{path.name}: [{key}] files: {name} is missing in the {side}")
    return recipe


def _table(key: str, folder: Path, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """A recipe's content with that of the recipes it extends; of their files only its own."""
    path = folder / f"{key}.json"
    table: dict[str, Any] = read_json(path)
    if not (base := table.pop("extends", None)):
        return table
    if base in (key, *above) or not (folder / f"{base}.json").is_file():
        raise DataError(f"recipes/{path.name}: [{key}] extends: there is no recipe {base!r}")
    parent, changed = _table(base, folder, (key, *above)), table.get("files", {})
    own = registry()[key].files if key in registry() else {}
    kept = {name: file for name, file in parent["files"].items() if not own or name in own}
    files = {name: {**kept.get(name, {}), **changed.get(name, {})} for name in {**kept, **changed}}
    tokens = [*parent.get("changed_tokens", ()), *table.get("changed_tokens", ())]
    return {**parent, **table, "files": files, "changed_tokens": tokens}


def vocabulary_of(recipe: Recipe) -> Origin:
    """The package file with the vocabulary, of a model that has one."""
    assert recipe.vocabulary is not None, "only what a package holds is built"
    return recipe.vocabulary
