"""A load is complete and silent, and runs no code but the library's."""

import sys

import pytest

from tests.harness.diagnosis import fail
from tests.harness.live import Live
from tests.harness.verdicts import check_loading_info, check_silence


@pytest.mark.parametrize("kind", ["missing_keys", "unexpected_keys", "mismatched_keys"])
def test_every_key_is_used(live: Live, kind: str) -> None:
    check_loading_info(live, kind)


def test_nothing_is_said_or_asked(live: Live) -> None:
    check_silence(live)


def test_only_the_librarys_code_runs(live: Live) -> None:
    foreign = [name for name in sys.modules if name.startswith("transformers_modules")]
    homes = {it.__class__.__module__ for it in (live.model, live.model.config)}
    foreign += [name for name in homes if not name.startswith("transformers.models.")]
    if foreign:
        fail(f"{live.title}: code of {foreign[0]} runs, expected transformers' own models only")
