"""Every version observed and tested, then each compared with its neighbour."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

from packaging.version import Version

from tests.harness.console import Progress
from tests.harness.data.engines import DEFAULT, engines
from tests.harness.data.registry import registry
from tests.harness.data.upstream_issues import UpstreamIssue
from tests.harness.errors import AssetError
from tests.harness.sources.cache import mark_used
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.pieces import token_rows

from .causes import Cause, Packages, group, issue_of
from .differences import KINDS, Difference, Rows, begins, compare, error_of, show
from .engine import prepare_files
from .environments import can_load, environment, with_lent
from .labels import judge_labels
from .record import Observed
from .runner import Outcomes, Seen, Subject, conformance, observe, observe_all, results_folder, task
from .times.verdicts import Times

AT_ONCE = 2  # versions side by side
MODES = {"tokenizers": "raw", "trl": "labels"}  # what is observed of a package; else `auto`


@dataclass(frozen=True)
class Exchange:
    """What became of one model's saved files; `result` is one line, `same` if ids are kept."""

    saver: str
    loader: str
    model: str
    same: bool
    result: str

    def issue(self, packages: Packages) -> UpstreamIssue | None:
        """What is known upstream of it, in the step between these installed versions."""
        as_difference = Difference("saved files", "", self.model, "", "", self.result)
        return None if self.same else issue_of(as_difference, packages)


@dataclass(frozen=True)
class Compared:
    """An upgrade step: what differs, grouped; what became of saved files and of calls' times."""

    older: Seen
    newer: Seen
    causes: list[Cause]
    exchanges: list[Exchange]
    times: Times | None = None  # of calls, where they were asked for

    @property
    def differences(self) -> list[Difference]:
        """The differences of all causes."""
        return [difference for cause in self.causes for difference in cause.differences]

    @property
    def lost(self) -> list[Exchange]:
        """Saved files that the other version reads with other ids, or not at all."""
        return [row for row in self.exchanges if not row.same]

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """By kind: differences, and the models that have one."""
        counts = {}
        for kind in KINDS:
            members = [one for one in self.differences if one.kind == kind]
            if members:
                counts[kind] = len(members), len({one.model for one in members})
        return counts

    @property
    def titles(self) -> list[str]:
        """A name for each cause, no two the same: with its issue or models where needed."""
        titles = [cause.title for cause in self.causes]
        titles = _told_apart(titles, [one.issue.id if one.issue else "" for one in self.causes])
        titles = _told_apart(titles, [", ".join(cause.models) for cause in self.causes])
        return _told_apart(titles, [f"{number}" for number in range(1, len(titles) + 1)])

    @property
    def lost_alike(self) -> list[tuple[Exchange, list[str]]]:
        """The lost files with the models that they are lost of in the same way."""
        groups: dict[tuple[str, str, str], list[Exchange]] = {}
        for row in self.lost:
            groups.setdefault((row.saver, row.loader, row.result), []).append(row)
        return [(rows[0], [row.model for row in rows]) for rows in groups.values()]

    @property
    def packages(self) -> Packages:
        """What is installed on both sides."""
        return self.older.packages, self.newer.packages


def _told_apart(titles: list[str], words: list[str]) -> list[str]:
    """The titles, with its own words behind each that is not the only one of its name."""
    pairs = zip(titles, words, strict=True)
    return [f"{one} ({own})" if own and titles.count(one) > 1 else one for one, own in pairs]


def look(
    package: str,
    label: str,
    subject: Subject,
    progress: Progress,
    given: tuple[str, ...] = (),
    *,
    tested: bool = True,
) -> Seen:
    """Everything of one version; what cannot be had is its `problem`.

    `tested` is whether the conformance tests are run there.
    """
    started = monotonic()

    def note(what: str) -> None:
        progress(f"{package} {label}: {what} ({monotonic() - started:.0f} s)")

    try:
        made = environment(package, label, given)
    except AssetError as error:
        note(f"cannot be installed: {error}")
        return Seen(label, label, subject, problem=f"cannot be installed: {error}")
    note("environment ready")
    if subject.mode == "auto":
        made = with_lent(made)
        subject = subject if can_load(made) else replace(subject, weights={})
    results = results_folder(made, subject)
    results.mkdir(parents=True, exist_ok=True)
    mark_used(results)
    observed = observe_all(made, subject, results)
    note(f"{len(observed)} models observed")
    why = "it is of transformers" if subject.mode == "engine" else "it needs transformers"
    why = why if tested else "only observed"
    outcomes = Outcomes(problem=f"tests/conformance is not run: {why}")
    if subject.mode == "auto" and tested:
        outcomes = conformance(made, subject, results)
        known, red = len(outcomes.known), len(outcomes.red)
        note(f"{outcomes.passed} checks passed, {known} known, {red} red")
    if subject.mode == "labels":
        outcomes = judge_labels(observed, _decoders(subject.folders))
        note(f"{outcomes.passed} rows are learned as declared, {len(outcomes.red)} are not")
    version = made.packages.get(package, "")
    return Seen(label, version, subject, "", made, results, observed, outcomes)


def subject_of(
    package: str, folders: dict[str, Path], weights: dict[str, Path] | None = None
) -> Subject:
    """What is observed of a package, and how."""
    mode, engine = mode_of(package)
    if engine == DEFAULT:
        prepare_files(folders)
    return Subject(folders, mode, weights=weights or {}, engine=engine)


def mode_of(package: str) -> tuple[str, str]:
    """How a package is observed, and the engine that it is."""
    engine = {one.package: one.key for one in engines().values() if one.package}.get(package, "")
    return "engine" if engine else MODES.get(package, "auto"), engine


def look_at_all(
    package: str,
    labels: list[str],
    folders: dict[str, Path],
    progress: Progress,
    given: tuple[str, ...] = (),
    weights: dict[str, Path] | None = None,
) -> list[Seen]:
    """The versions, older first; one that is named twice is observed twice.

    `weights` are the checkpoint folders of models that are loaded, too.
    """
    one = subject_of(package, folders, weights)
    subjects = [replace(one, repeat=labels[:i].count(label)) for i, label in enumerate(labels)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [
            pool.submit(look, package, label, subject, progress, given)
            for label, subject in zip(labels, subjects, strict=True)
        ]
        try:
            versions = [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else what waits is begun after Ctrl-C
            raise
    return sorted(versions, key=lambda seen: Version(seen.version))


def _decoders(folders: dict[str, Path]) -> dict[str, Any]:
    from tokenizers import Tokenizer

    paths = {key: str(folder / "tokenizer.json") for key, folder in folders.items()}
    return {key: Tokenizer.from_file(path) for key, path in paths.items()}


def rows_of(folders: dict[str, Path]) -> Rows:
    """`id 'piece'` rows of a model's ids, by the vocabulary of its own file."""
    loaded = {
        key: LoadedTokenizer(registry()[key], "directory", lambda: folders) for key in folders
    }
    return lambda key, ids: token_rows(loaded[key], ids)


def _only_ids(observed: Observed) -> Observed:
    """What must be the same of saved files: that they load, and the ids of all texts."""
    kept = {"load": {"load": observed["load"]["load"]}}
    return kept | {"ids": {"encode": observed.get("ids", {}).get("encode", {})}}


def judge(
    names: tuple[str, str], model: str, here: Observed, there: Observed, own: Observed, rows: Rows
) -> Exchange:
    """One line: same ids as where the files were saved, or the first that is not, or the error.

    `names` are saver and loader; `own` is what the loader makes of the original files.
    """
    error = error_of(there["load"]["load"][""])
    if error is not None:
        return Exchange(*names, model, False, show({"error": error}))
    differences = list(compare(model, _only_ids(here), _only_ids(there)))
    if not differences:
        return Exchange(*names, model, True, "same ids")
    first = differences[0]
    note = "; as from the original files" if _only_ids(own) == _only_ids(there) else ""
    line = f"{len(differences)} texts differ, {first.case}: {begins(first, rows)}{note}"
    return Exchange(*names, model, False, line)


def _exchange(saver: Seen, loader: Seen, rows: Rows) -> list[Exchange]:
    """What the loader makes of the files that the saver's `save_pretrained` wrote."""
    saved, out = saver.results / "saved", loader.results / "read" / saver.results.name
    out.mkdir(parents=True, exist_ok=True)
    keys = [key for key in saver.observed if any((saved / key).iterdir())]
    tasks = [task(key, saved / key, out / f"{key}.json", saver.subject, None) for key in keys]
    there = observe(loader.installed, tasks)
    names = saver.label, loader.label
    return [
        judge(names, key, saver.observed[key], there[key], loader.observed[key], rows)
        for key in keys
    ]


def _compare_step(older: Seen, newer: Seen, rows: Rows) -> Compared:
    differences = [
        difference
        for key, before in older.observed.items()
        for difference in compare(key, before, newer.observed[key])
    ]
    exchanges = _exchange(older, newer, rows) + _exchange(newer, older, rows)
    return Compared(older, newer, group((older, newer), differences), exchanges)


def compare_all(
    package: str, versions: list[Seen], rows: Rows, progress: Progress
) -> list[Compared]:
    """The steps between neighbours that could be looked at."""

    def work(pair: tuple[Seen, Seen]) -> Compared:
        compared = _compare_step(*pair, rows)
        names = f"{pair[0].label} -> {pair[1].label}"
        progress(f"{package} {names}: {len(compared.differences)} differences")
        return compared

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, pairwise(seen for seen in versions if not seen.problem)))
