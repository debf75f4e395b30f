"""Every version observed and tested, then each compared with its neighbour."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import monotonic

from packaging.version import Version

from tests.harness.console import Progress
from tests.harness.data.registry import registry
from tests.harness.errors import AssetError
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.pieces import token_rows

from .causes import Cause, Packages, Step, group
from .differences import Difference, Rows, compare
from .environments import Environment, environment
from .exchange import Exchange, judge, read_there
from .outcomes import Outcomes, conformance
from .record import Observed
from .runner import Subject, observe_all, results_folder

AT_ONCE = 2  # versions side by side


@dataclass(frozen=True)
class Seen:
    """A version and all that was seen of it; `problem` says why there is nothing."""

    label: str
    version: str
    subject: Subject
    problem: str = ""
    environment: Environment | None = None
    results: Path = Path()
    observed: dict[str, Observed] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=Outcomes)


@dataclass(frozen=True)
class Compared:
    """An upgrade step: what differs, grouped; what became of saved files; what stays open."""

    older: Seen
    newer: Seen
    causes: list[Cause]
    exchanges: list[Exchange]

    @property
    def differences(self) -> list[Difference]:
        """All differences."""
        return [difference for cause in self.causes for difference in cause.differences]


def _look(package: str, label: str, subject: Subject, progress: Progress) -> Seen:
    """Everything of one version; what cannot be had is its `problem`."""
    started = monotonic()

    def note(what: str) -> None:
        progress(f"{package} {label}: {what} ({monotonic() - started:.0f} s)")

    try:
        made = environment(package, label)
    except AssetError as error:
        note(f"cannot be installed: {error}")
        return Seen(label, label, subject, problem=f"cannot be installed: {error}")
    version = made.packages.get(package, "")
    note("environment ready")
    results = results_folder(made, subject)
    results.mkdir(parents=True, exist_ok=True)
    observed = observe_all(made, subject, results)
    note(f"{len(observed)} models observed")
    outcomes = Outcomes(problem="tests/conformance is not run: it needs transformers")
    if subject.mode == "auto":
        outcomes = conformance(made, subject, results)
        note(
            f"{outcomes.passed} checks passed, {len(outcomes.known)} known, {len(outcomes.red)} red"
        )
    return Seen(label, version, subject, "", made, results, observed, outcomes)


def look_at_all(
    package: str, labels: list[str], folders: dict[str, Path], progress: Progress
) -> list[Seen]:
    """The versions, older first; one that is named twice is observed twice."""
    mode = "raw" if package == "tokenizers" else "auto"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [
            pool.submit(
                _look, package, label, Subject(folders, mode, labels[:i].count(label)), progress
            )
            for i, label in enumerate(labels)
        ]
        try:
            versions = [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else what waits is begun after Ctrl-C
            raise
    return sorted(versions, key=lambda seen: Version(seen.version))


def rows_of(folders: dict[str, Path]) -> Rows:
    """`id 'piece'` rows of a model's ids, by the vocabulary of its own file."""
    loaded = {
        key: LoadedTokenizer(registry()[key], "directory", lambda: folders) for key in folders
    }
    return lambda key, ids: token_rows(loaded[key], ids)


def packages(older: Seen, newer: Seen) -> Packages:
    """What is installed on both sides."""
    assert older.environment is not None, older.label
    assert newer.environment is not None, newer.label
    return older.environment.packages, newer.environment.packages


def _exchange(older: Seen, newer: Seen, line: Rows) -> list[Exchange]:
    """What each of two neighbours makes of the files that the other one saved."""
    exchanges = []
    for saver, loader in ((older, newer), (newer, older)):
        assert loader.environment is not None
        keys = [key for key in saver.observed if any((saver.results / "saved" / key).iterdir())]
        out = loader.results / "read" / saver.results.name
        saved, mode = saver.results / "saved", saver.subject.mode
        there = read_there(loader.environment, saved, out, mode, keys)
        names = saver.label, loader.label
        for key in keys:
            own = loader.observed[key]
            exchanges.append(judge(names, key, saver.observed[key], there[key], own, line))
    return exchanges


def _compare_step(older: Seen, newer: Seen, line: Rows) -> Compared:
    """All differences between two neighbours."""
    sides = older.observed, newer.observed
    step = Step(packages(older, newer), sides, (older.outcomes, newer.outcomes))
    differences = [
        difference for key in sides[0] for difference in compare(key, sides[0][key], sides[1][key])
    ]
    return Compared(older, newer, group(step, differences), _exchange(older, newer, line))


def compare_all(
    package: str, versions: list[Seen], folders: dict[str, Path], progress: Progress
) -> list[Compared]:
    """The steps between neighbours that could be looked at."""
    there, line = [seen for seen in versions if not seen.problem], rows_of(folders)

    def work(pair: tuple[Seen, Seen]) -> Compared:
        compared = _compare_step(*pair, line)
        names = f"{pair[0].label} -> {pair[1].label}"
        progress(f"{package} {names}: {len(compared.differences)} differences")
        return compared

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, pairwise(there)))
