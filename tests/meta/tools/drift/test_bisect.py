"""Bisecting: the first release that differs is named, few are looked at, whatever lies between."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.harness.environments import Environment
from tests.harness.errors import AssetError
from tests.meta.conftest import run_anew
from tests.tools.drift import __main__, environments
from tests.tools.drift.bisect import between, lines, search_for
from tests.tools.drift.environments import releases
from tests.tools.drift.runner import Seen, Subject

VERSIONS = [f"4.{minor}.0" for minor in range(40, 60)] + ["5.0.0", "5.1.0", "5.2.0", "5.3.0"]
CASE = "digits.two_spaces_before_digit"


class Library:
    """Versions of which some split digits otherwise; `looked` are those that were asked for."""

    def __init__(self, changed: dict[str, str], broken: tuple[str, ...] = ()) -> None:
        """Each model changes at its version; those that are broken cannot be installed."""
        self.changed, self.broken, self.looked = changed, broken, list[str]()

    def look(self, version: str) -> Seen:
        """What is observed of a version."""
        self.looked.append(version)
        seen = Seen(version, version, Subject({}, "auto"))
        if version in self.broken:
            return replace(seen, problem="cannot be installed: planted")
        observed = {}
        for model, first in self.changed.items():
            at, since = VERSIONS.index(version), VERSIONS.index(first)
            ids: Any = [283, 54] if at >= since else [281, 54]
            observed[model] = {
                "load": {"load": {"": "loaded"}},
                "ids": {"encode": {CASE: ids, "other": [1]}},
            }
        here = Environment(Path(), {"transformers": version})
        return replace(seen, environment=here, observed=observed)


def found(library: Library, pattern: str = CASE) -> list[str]:
    search = search_for(pattern, VERSIONS, [library.look])
    changes = list(search.changes())
    return list(
        lines(search, changes, "transformers", lambda _, ids: [f"{each} 'x'" for each in ids])
    )


@pytest.mark.parametrize("first", [VERSIONS[1], VERSIONS[7], VERSIONS[12], VERSIONS[-1]])
def test_first_release_is_named_after_few_looks(first: str) -> None:
    library = Library({"starcoder2": first})
    older = VERSIONS[VERSIONS.index(first) - 1]
    head, change, *_ = found(library)
    assert head == f"transformers {first}, the release after {older}, is the first that differs:"
    assert change == f"  starcoder2 {CASE}, ids, encode: position 0: 281 'x' -> 283 'x'"
    assert len(library.looked) == len(set(library.looked)) <= 7


def test_each_model_has_its_release_and_known_issue() -> None:
    out = found(Library({"starcoder2": "5.0.0", "smollm2": "5.3.0"}), "digits.*")
    text = "\n".join(out)
    assert text.index("transformers 5.0.0,") < text.index("starcoder2") < text.index("5.3.0, the")
    assert text.count("https://github.com/huggingface/transformers/issues/45812") == 2


def test_release_that_cannot_be_had_is_passed_over() -> None:
    broken = tuple(VERSIONS[5:15])
    library = Library({"phi3": VERSIONS[9]}, broken)
    head = found(library)[0]
    assert head.startswith(f"transformers {VERSIONS[15]}, the release after {VERSIONS[4]},")
    assert len(library.looked) == len(set(library.looked))


def test_value_that_changed_again_is_said() -> None:
    class Twice(Library):
        def look(self, version: str) -> Seen:
            seen = super().look(version)
            if version == VERSIONS[-1]:
                seen.observed["phi3"]["ids"]["encode"][CASE] = [9]
            return seen

    out = "\n".join(found(Twice({"phi3": "4.45.0"})))
    assert "it has changed again until 5.3.0: search from" in out


def test_model_that_no_longer_loads_is_found() -> None:
    class Dead(Library):
        def look(self, version: str) -> Seen:
            seen = super().look(version)
            if version.startswith("5"):
                seen.observed["phi3"] = {"load": {"load": {"": {"error": "ValueError: no"}}}}
            return seen

    head, change, *_ = found(Dead({"phi3": "5.3.0"}))
    assert head.startswith("transformers 5.0.0, the release after 4.59.0")
    assert "load failure" in change


def test_models_are_loaded_only_for_what_needs_it() -> None:
    """The second way to look is taken where the first observes nothing of the name."""

    class Loading(Library):
        def look(self, version: str) -> Seen:
            seen = super().look(version)
            seen.observed["phi3"]["load keys"] = {"from_pretrained": {"load": "loaded"}}
            seen.observed["phi3"]["memory"] = {"bytes": {"held": 1 + (version >= "5")}}
            return seen

    light, heavy = Library({"phi3": "5.0.0"}), Loading({"phi3": "5.0.0"})
    search = search_for("held", VERSIONS, [light.look, heavy.look])
    assert [one.newer for one in search.changes()] == ["5.0.0"]
    assert search_for(CASE, VERSIONS, [light.look, heavy.look]).look == light.look


def test_nothing_of_the_name_and_nothing_that_differs() -> None:
    with pytest.raises(AssetError, match="no observed case or call has this name"):
        found(Library({"phi3": "5.0.0"}), "no.such_case")
    with pytest.raises(AssetError, match=r"5.3.0: cannot be installed"):
        found(Library({"phi3": "5.0.0"}, ("5.3.0",)))
    assert found(Library({"phi3": "5.0.0"}), "other")[0].endswith("is the same in 4.40.0 and 5.3.0")


def test_releases_between_are_in_order() -> None:
    given = ["5.10.0", "5.2.0", "4.9.0", "6.0.0"]
    assert between(given, "5.0.0", "5.24.0") == ["5.0.0", "5.2.0", "5.10.0", "5.24.0"]


def test_index_is_asked_and_its_silence_is_an_error() -> None:
    assert {"2.0.0", "2.3.0"} <= set(releases("iniconfig"))
    with pytest.raises(AssetError, match="does not tell the versions of no-such"):
        releases("no-such-package-anywhere-0")


def test_no_versions_are_the_pinned_and_the_newest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = environments.pins()["transformers"]
    monkeypatch.setattr(__main__, "releases", lambda _: ["4.43.4", pinned])
    assert __main__._default_versions("transformers", None) == [pinned, pinned]
    assert __main__._default_versions("transformers", CASE) == ["4.43.4", pinned]
    monkeypatch.setattr(__main__, "_weights", lambda *_: {})
    assert __main__.main(["--models", "phi3"]) == 0
    assert f"transformers {pinned}, the pinned version, is the newest" in capsys.readouterr().out
    with pytest.raises(AssetError, match="no version of iniconfig is pinned"):
        __main__._default_versions("iniconfig", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bisect", ""], "--bisect: give a case or call"),
        (["--bisect", " ", "5.0.0", "5.1.0"], "--bisect: give a case or call"),
        (["--bisect", "x", "--out", "report"], "writes no report: leave out --out"),
        (["--bisect", "x", "5.1.0", "5.0.0"], "to a newer, not 5.1.0 to 5.0.0"),
        (["--bisect", "x", "5.1.0", "5.1"], "to a newer, not 5.1.0 to 5.1"),
        (["--out", __file__], "is no folder"),
    ],
)
def test_wrong_option_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        __main__._parse(arguments)
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow  # environments of real versions, and what each makes of a model
def test_digits_of_starcoder2_are_found_at_their_release() -> None:
    run = run_anew(
        "tests.tools.drift",
        *("4.57.6", "5.2.0", "--bisect", CASE, "--models", "starcoder2"),
    )
    assert run.code == 1, run.out
    assert run.line("is the first that differs").startswith("transformers 5.0.0, the release after")
    assert "issues/45812" in run.out
