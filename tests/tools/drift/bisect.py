"""Since which release a case is as it is: a binary search over the released versions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from packaging.version import Version

from tests.harness.data.upstream_issues import UpstreamIssue
from tests.harness.errors import AssetError

from .causes import issue_of
from .differences import Difference, Rows, begins, compare
from .runner import Seen

OLDEST = {"transformers": "4.43.4"}  # the oldest version that is known to be observable here
Place = tuple[str, str, str]  # model, call, case


@dataclass(frozen=True)
class Change:
    """A value, and the neighbouring releases between which it changes first.

    `final` is whether it still is so at the newer end.
    """

    difference: Difference
    older: str
    newer: str
    final: bool
    issue: UpstreamIssue | None


def between(versions: list[str], older: str, newer: str) -> list[str]:
    """The releases from one version to another, in order, both included."""
    inner = [one for one in versions if Version(older) < Version(one) < Version(newer)]
    return [older, *sorted(inner, key=Version), newer]


def _named(pattern: str, difference: Difference) -> bool:
    names = (difference.case, difference.call, f"{difference.call} {difference.case}")
    return any(fnmatchcase(name, pattern) for name in names)


class Search:
    """Looks at versions as they are needed, each once."""

    def __init__(self, versions: list[str], look: Callable[[str], Seen], pattern: str) -> None:
        """Look at both ends; AssetError if either cannot be had."""
        self.versions, self.look, self.pattern = versions, look, pattern
        self.seen: dict[int, Seen] = {}
        for end in (0, self._last):
            if (seen := self._see(end)).problem:
                raise AssetError(f"{versions[end]}: {seen.problem}")

    @property
    def names_something(self) -> bool:
        """Whether anything observed has the name."""
        models = {model for seen in self.seen.values() for model in seen.observed}
        return any(True for model in models for _ in self._places(model))

    def changes(self) -> Iterator[Change]:
        """The named values that differ between the ends, each with where it changes first."""
        for place, end in self._differences(0, self._last).items():
            step = self._first_step(place)
            while step[1] - step[0] > 1:
                self._see((step[0] + step[1]) // 2)
                step = self._first_step(place)
            found = self._differences(*step).get(place, end)
            packages = self.seen[step[0]].packages, self.seen[step[1]].packages
            again = self._differences(step[1], self._last)
            older, newer = (self.versions[index] for index in step)
            yield Change(found, older, newer, place not in again, issue_of(found, packages))

    @property
    def _last(self) -> int:
        return len(self.versions) - 1

    def _see(self, index: int) -> Seen:
        """The version; one that cannot be had is left out of the search."""
        seen = self.look(self.versions[index])
        if seen.problem and 0 < index < self._last:
            del self.versions[index]
            self.seen = {at - (at > index): one for at, one in self.seen.items()}
        else:
            self.seen[index] = seen
        return seen

    def _first_step(self, place: Place) -> tuple[int, int]:
        """The first neighbours among the seen versions of which the newer has another value."""
        known = sorted(self.seen)
        at = next(i for i in known[1:] if place in self._differences(0, i))
        return known[known.index(at) - 1], at

    def _differences(self, older: int, newer: int) -> dict[Place, Difference]:
        """What differs of the named; where a model does not load, of all that is named of it."""
        found: dict[Place, Difference] = {}
        sides = self.seen[older].observed, self.seen[newer].observed
        for model, before in sides[0].items():
            for one in compare(model, before, sides[1][model]):
                if one.kind == "load failure":
                    found |= dict.fromkeys(self._places(model), one)
                elif _named(self.pattern, one):
                    found[one.model, one.call, one.case] = one
        return found

    def _places(self, model: str) -> Iterator[Place]:
        for seen in self.seen.values():
            for calls in seen.observed[model].values():
                for call, cases in calls.items():
                    for case in cases:
                        if _named(self.pattern, Difference("", call, model, case, None, None)):
                            yield model, call, case


def search_for(pattern: str, versions: list[str], ways: Sequence[Callable[[str], Seen]]) -> Search:
    """The search by the first way to look that observes what is named; AssetError if none does."""
    for look in ways:
        search = Search(list(versions), look, pattern)
        if search.names_something:
            return search
    raise AssetError(
        f"--bisect {pattern}: no observed case or call has this name: take one from a report, such "
        "as digits.four_spaces_before_digit, or batch_decode"
    )


def lines(search: Search, changes: list[Change], package: str, rows: Rows) -> Iterator[str]:
    """What was found, by release."""
    found: dict[tuple[str, str], list[Change]] = {}
    first, last = search.versions[0], search.versions[-1]
    for change in changes:
        found.setdefault((change.older, change.newer), []).append(change)
    if not found:
        yield f"{package}: {search.pattern} is the same in {first} and {last}"
    for (older, newer), members in found.items():
        yield f"{package} {newer}, the release after {older}, is the first that differs:"
        for one in members:
            what = one.difference
            yield f"  {what.where}, {what.kind}, {what.call}: {begins(what, rows)}"
            if not one.final:
                yield f"    it has changed again until {last}: search from {newer} on"
        for issue in dict.fromkeys(one.issue for one in members if one.issue):
            yield f"    known: {issue.reason} ({issue.package} {issue.versions}): {issue.link}"
    yield f"{len(search.seen)} of {len(search.versions)} releases were looked at"
