"""Save here, load there: files that one version's `save_pretrained` wrote, read by another."""

from dataclasses import dataclass
from pathlib import Path

from tests.harness.data.upstream_issues import UpstreamIssue

from .causes import Packages, issue_of
from .differences import Difference, Rows, begins, compare, error_of, show
from .environments import Environment
from .record import Observed
from .runner import observe, task


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


def _only_ids(observed: Observed) -> Observed:
    """What must be the same: that it loads, and the ids of all texts."""
    kept = {"load": {"load": observed["load"]["load"]}}
    return kept | {"ids": {"encode": observed.get("ids", {}).get("encode", {})}}


def read_there(
    loader: Environment, saved: Path, out: Path, mode: str, keys: list[str]
) -> dict[str, Observed]:
    """What the loader makes of the folders `saved/KEY`."""
    out.mkdir(parents=True, exist_ok=True)
    return observe(loader, [task(k, saved / k, out / f"{k}.json", mode, None) for k in keys])


def judge(
    names: tuple[str, str], model: str, here: Observed, there: Observed, own: Observed, rows: Rows
) -> Exchange:
    """One line: same ids as where the files were saved, or the first that is not, or the error."""
    error = error_of(there["load"]["load"][""])
    if error is not None:
        return Exchange(*names, model, False, show({"error": error}))
    differences = list(compare(model, _only_ids(here), _only_ids(there)))
    if not differences:
        return Exchange(*names, model, True, "same ids")
    first = differences[0]
    again = _only_ids(own) == _only_ids(there)
    note = "; as from the original files" if again else ""
    line = f"{len(differences)} texts differ, {first.case}: {begins(first, rows)}{note}"
    return Exchange(*names, model, False, line)
