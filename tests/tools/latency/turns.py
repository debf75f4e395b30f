"""Pairs of processes, until every benchmark has a verdict or the time is up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic

from tests.harness.errors import DataError
from tests.harness.latency.recording import Recording, Rounds, differences
from tests.harness.latency.spec import Nodes, Rule
from tests.harness.latency.statistics import Verdict, Word, format_seconds
from tests.harness.latency.turns.sequential import judge_turns, log_ratios, pairs_needed

from .sides import Side, take_turns


@dataclass
class Compared:
    """One benchmark, by pair: seconds of each turn there and here, and the ratios' logarithms."""

    name: str
    there: list[Rounds] = field(default_factory=list)
    here: list[Rounds] = field(default_factory=list)
    ratios: list[list[float]] = field(default_factory=list)
    verdict: Verdict | None = None  # of the last look

    @property
    def word(self) -> Word:
        """The last look's word; before the first, INCONCLUSIVE."""
        return self.verdict.word if self.verdict else "INCONCLUSIVE"

    @property
    def is_decided(self) -> bool:
        """Whether a look brought a verdict, so that it is measured no more."""
        return self.word != "INCONCLUSIVE"

    def __str__(self) -> str:
        """`PASS  test_predict[phi3]  61.2 ms -> 61.4 ms (+0 %, interval -2..+3), 7 pairs`."""
        about = self.verdict or "no look yet"
        old, new = (
            format_seconds(median(map(median, times))) if times else "?"
            for times in (self.there, self.here)
        )
        return f"{self.word:<12}  {self.name:<44} {old} -> {new} ({about}), {len(self.there)} pairs"


@dataclass
class Turns:
    """The comparison: its sides, its benchmarks, and what each turn costs."""

    there: Side
    here: Side
    nodes: Nodes
    rule: Rule
    compared: dict[str, Compared]
    versions: tuple[dict[str, str], dict[str, str]] = ({}, {})
    pair_seconds: float = 0.0  # of the last pair

    def undecided(self) -> list[str]:
        """The names of what is still measured."""
        return [name for name, one in self.compared.items() if not one.is_decided]

    def missing(self, one: Compared) -> str:
        """What a verdict would take, for a benchmark that has none."""
        if not one.ratios:
            return f"the first look is after {self.rule.looks[0]} pairs"
        pairs = pairs_needed(one.ratios, self.rule, len(self.compared))
        if pairs is None:
            return f"not even {self.rule.looks[-1]} pairs would bring a verdict: a quieter machine"
        more = pairs - len(one.ratios)
        return f"{more} pairs more, {more * self.pair_seconds / 60:.0f} min, would bring a verdict"


def compare(
    turns: Turns, options: Sequence[str], budget: float, scratch: Path, say: Callable[[str], None]
) -> None:
    """Measure pairs, and judge them at the rule's looks.

    Stops when all is decided, after the last look, or if the next pair would end after `budget`
    seconds. DataError if the sides measure something different.
    """
    started = monotonic()
    for pair in range(1, turns.rule.looks[-1] + 1):
        names = turns.undecided()
        if not names or monotonic() - started + turns.pair_seconds > budget:
            return
        pair_started = monotonic()
        sides = (turns.there, turns.here)
        nodes = [turns.nodes[name] for name in names]
        recordings = take_turns(sides, nodes, options, scratch, pair)
        _add(turns, names, *recordings)
        turns.pair_seconds = monotonic() - pair_started
        decided = _look(turns, names, pair) if pair in turns.rule.looks else []
        passed = monotonic() - started
        left = f"{len(turns.undecided())} of {len(turns.compared)} undecided"
        say(f"pair {pair}: {turns.pair_seconds:.0f} s, {passed:.0f} s in all, {left}")
        for one in decided:
            say(f"  {one}")


def _add(turns: Turns, names: Sequence[str], there: Recording, here: Recording) -> None:
    """Add a pair to each benchmark; DataError where the sides did not do the same."""
    turns.versions = (there.versions, here.versions)
    for name in names:
        old, new = there.benchmarks[name], here.benchmarks[name]
        keys = dict(new.keys)
        if turns.there.checkout != turns.here.checkout:
            keys["code"] = old.keys["code"]  # which is what may differ
        if lines := differences(old.keys, keys):
            raise DataError(f"{name}: not comparable with {turns.there.title}: {'; '.join(lines)}")
        one = turns.compared[name]
        one.there.append(old.seconds[0])
        one.here.append(new.seconds[0])
        one.ratios.append(log_ratios(old.seconds[0], new.seconds[0]))


def _look(turns: Turns, names: Sequence[str], pair: int) -> list[Compared]:
    """Judge what was measured in every pair so far; what is decided now."""
    ones = [turns.compared[name] for name in names]
    for one in ones:
        assert len(one.ratios) == pair
        one.verdict = judge_turns(one.ratios, turns.rule, len(turns.compared))
    return [one for one in ones if one.is_decided]
