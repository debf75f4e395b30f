"""Differences of one upgrade step, grouped by what they have in common."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.harness.data.upstream_issues import Change, UpstreamIssue, upstream_issues

from .differences import ABSENT, ERRORS, KINDS, Difference, brief, error_of
from .runner import Seen

Step = tuple[Seen, Seen]  # two neighbours, older and newer
Packages = tuple[Mapping[str, str], Mapping[str, str]]  # installed versions, older and newer

# The parts of a pipeline that can move a kind of value.
MOVERS = {
    "ids": ("normalizer", "pre_tokenizer", "model", "post_processor", "chat_template"),
    "offsets": ("normalizer", "pre_tokenizer", "model", "post_processor"),
    "decode": ("decoder", "model", "clean_up_tokenization_spaces", "pre_tokenizer"),
    "rendered text": ("chat_template",),
}
# The contracts that judge a kind of value; a value no contract judges is a change, no breakage.
CONTRACTS = {
    "ids": (
        *("test_ids_match_tokenizer_json", "test_bos_matches_registry", "test_ids_snapshot"),
        *("test_prompts_snapshot", "test_tokenized_chat_equals_encoded_text"),
    ),
    "labels": ("labels_are_declared",),
    "rendered text": ("test_prompts_snapshot",),
    "offsets": ("test_offsets_rebuild_the_text",),
    "decode": ("test_decoding_gives_the_text_back", "test_streaming_gives_the_text_back"),
    "special tokens": ("test_special_id_matches_registry", "test_loaded_added_tokens"),
    "pipeline": ("test_loaded_pipeline_matches_tokenizer_json", "test_setting_matches_registry"),
    "calls": (
        *("test_call_gives_the_declared_value", "test_batch_decode_gives_a_text_a_row"),
        *("test_decode_takes_every_form", "test_default_chat_call_gives_a_mapping"),
    ),
    "settings": ("test_attribute_changes_nothing_else",),
    ERRORS: ("test_", "labels_are_declared"),
}


@dataclass(frozen=True)
class Cause:
    """Differences of one kind that have one explanation; `verdict` is that of the contracts."""

    kind: str
    why: str
    verdict: str
    differences: tuple[Difference, ...]
    issue: UpstreamIssue | None

    @property
    def title(self) -> str:
        """Kind, calls, and what explains the differences."""
        loads = self.kind == "load failure"
        name = self.kind if loads else f"{self.kind}: {', '.join(self.calls)}"
        return name if self.why == "changed" else f"{name}: {self.why}"

    @property
    def models(self) -> list[str]:
        """The models concerned."""
        return list(dict.fromkeys(one.model for one in self.differences))

    @property
    def calls(self) -> list[str]:
        """The calls whose results differ."""
        return list(dict.fromkeys(one.call for one in self.differences))

    @property
    def cases(self) -> list[str]:
        """The cases concerned; none where the whole model is."""
        return list(dict.fromkeys(one.case for one in self.differences if one.case))


def fits(issue: UpstreamIssue, change: Change, difference: Difference, packages: Packages) -> bool:
    """Whether a change of an issue is this difference, in a step into or out of its versions.

    `packages` are what is installed on both sides: another package may have moved along.
    """
    older, newer = (side.get(issue.package) for side in packages)
    if older is None or newer is None or issue.covers(older) == issue.covers(newer):
        return False
    values = (change.left, difference.left), (change.right, difference.right)
    return (
        difference.kind == change.kind
        and fnmatchcase(difference.call, change.call)
        and any(fnmatchcase(difference.model, pattern) for pattern in change.models)
        and all(pattern.search(json.dumps(value)) for pattern, value in values)
    )


def issue_of(difference: Difference, packages: Packages) -> UpstreamIssue | None:
    """The first issue with a change that fits."""
    pairs = ((issue, change) for issue in upstream_issues() for change in issue.changes)
    return next((pair[0] for pair in pairs if fits(*pair, difference, packages)), None)


def _follows(step: Step, difference: Difference) -> str:
    """What a difference is a mere consequence of; empty if it has a cause of its own."""
    old, new = (side.observed[difference.model] for side in step)

    def moved(kind: str, call: str) -> bool:
        sides = [side.get(kind, {}).get(call, {}).get(difference.case) for side in (old, new)]
        return sides[0] != sides[1]

    if difference.kind in ("offsets", "decode") and moved("ids", "encode"):
        return "follows from the ids"
    if difference.kind == "ids" and moved("rendered text", difference.call):
        return "follows from the rendered text"
    return ""


def _moved_parts(step: Step, difference: Difference) -> str:
    """The parts of the pipeline that moved among those which can move the value."""
    old, new = (side.observed[difference.model].get("pipeline", {}) for side in step)

    def setting(pipeline: dict[str, dict[str, object]], name: str) -> object:
        return pipeline.get(name, {}).get("", ABSENT)

    names = [name for name in MOVERS[difference.kind] if setting(old, name) != setting(new, name)]
    if not names:
        return "the loaded pipeline is the same: the library's own code changed"
    return f"{setting(old, 'class')} -> {setting(new, 'class')}: other {', '.join(names)}"


def _why(step: Step, difference: Difference) -> str:
    """What explains a difference: parts that moved, else the change of the value itself."""
    if difference.kind in MOVERS:
        return _follows(step, difference) or _moved_parts(step, difference)
    if difference.left == ABSENT or difference.right == ABSENT:
        return "new" if difference.left == ABSENT else "gone"
    values = difference.left, difference.right
    if difference.kind == "load failure" or any(map(error_of, values)):
        names = [(error_of(value) or "works").partition(":")[0] for value in values]
        return " -> ".join(names)
    if difference.kind == "return type":
        return " -> ".join(map(brief, values))
    return "changed"


def group(step: Step, differences: list[Difference]) -> list[Cause]:
    """The differences by kind and explanation, the most telling kind first."""
    groups: dict[tuple[str, str, str, UpstreamIssue | None], list[Difference]] = defaultdict(list)
    packages = step[0].packages, step[1].packages
    for difference in differences:
        issue = issue_of(difference, packages)
        # One cause is told once: what an issue explains, or what moved, whatever the call.
        call = "" if issue or difference.kind in MOVERS else difference.call
        words = "" if issue else _why(step, difference)
        groups[difference.kind, call, words, issue].append(difference)
    causes = [
        Cause(kind, words or _why(step, members[0]), _verdict(step, members), tuple(members), issue)
        for (kind, _, words, issue), members in groups.items()
    ]
    return sorted(causes, key=lambda cause: (KINDS.index(cause.kind), -len(cause.differences)))


def _nodes(difference: Difference, bad: set[str]) -> set[str]:
    """The failing tests that judge the value: of its case, or of its part of the model."""
    names = CONTRACTS.get(difference.kind, ())
    part = difference.case or difference.call.removesuffix("_token")
    about = (f"[{difference.model}-{part}]", f"[{difference.model}-{part}-")
    if difference.call == "added tokens":
        about = (f"[{difference.model}]",) * 2
    return {
        node
        for node in bad
        if node.startswith(names) and (node.endswith(about[0]) or about[1] in node)
    }


def _verdict(step: Step, members: list[Difference]) -> str:
    """`breaks` or `fixes` where contracts or the load fail on one side only, else `changes`."""
    before, after = (
        {node for difference in members for node in _nodes(difference, side.outcomes.bad())}
        for side in step
    )
    loading = [one for one in members if one.kind == "load failure"]
    if after - before or any(error_of(one.right) for one in loading):
        return "breaks"
    return "fixes" if before - after or loading else "changes"
