"""The models whose files a command reads, and the folders these are in: its options."""

import argparse
from pathlib import Path

from tests.harness.console import say
from tests.harness.data.registry import Model
from tests.harness.sources.folders import (
    SOURCES,
    Sources,
    chosen_models,
    parse_directories,
    prepare,
    select_models,
)


def add_folder_options(parser: argparse.ArgumentParser, verb: str) -> None:
    """Declare which models the command reads; `verb` is what it does with them."""
    add = parser.add_argument
    usual = "those that fixtures/models.toml does not mark on_request"
    only = f"{verb} only these models, or `all` (default: {usual})"
    add("--models", metavar="KEY,KEY", help=only)
    source = "where their files come from (default: bundle)"
    add("--source", choices=SOURCES, default="bundle", help=source)
    folder = "take this model's files from a folder; may be repeated (default: from --source)"
    add("--model-dir", action="append", default=[], metavar="KEY=DIR", help=folder)


def prepare_folders(options: argparse.Namespace) -> tuple[list[Model], Sources, dict[str, Path]]:
    """Fetch and check the files: models, where they come from, folder by key; AssetError."""
    sources = Sources(options.source, parse_directories(options.model_dir))
    keys = chosen_models(options.models) if options.models is not None else []
    models = select_models(keys, sources.default, sources.directories)
    return models, sources, prepare(models, sources, say)
