"""What a model does otherwise than the cases say, beside it: `fixtures/exceptions/KEY.json`.

The cases of `fixtures/` declare the same for the models they name. What both declare for the bases
of a fine-tune holds for it, too.
"""

from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..errors import DataError
from ..files import FIXTURES
from .calls import Call
from .cases import ChatCase, Published, TextCase, Twin, conversations, texts
from .registry import Model, registry
from .schema import STRICT, Comment, parse, read_json
from .upstream_issues import UpstreamIssue, check_specifier, upstream_issues

EXCEPTIONS = FIXTURES / "exceptions"


@dataclass(frozen=True, config=STRICT)
class Written:
    """What decoding a text's ids, or cutting it by offsets, gives in place of the text."""

    case: str
    kind: Literal["decode", "offsets"]
    text: str
    why: Comment


@dataclass(frozen=True, config=STRICT)
class Fault:
    """Tests of the model that must fail under these versions of a library: a fault of its own.

    `issue` is an entry of `fixtures/upstream_issues.toml`, which then gives the rest.
    """

    nodes: Annotated[tuple[Annotated[str, Field(pattern=r"^test_")], ...], Field(min_length=1)]
    reason: str = ""
    package: str = ""
    versions: str = ""
    link: str = ""  # to the issue that comes nearest
    issue: str = ""

    def __post_init__(self) -> None:
        """ValueError unless it is by an issue, or whole."""
        whole = bool(self.reason and self.package and self.versions and self.link)
        if whole == bool(self.issue):
            raise ValueError("expected issue, or reason, package, versions and link")
        if self.issue and self.issue not in {known.id for known in upstream_issues()}:
            raise ValueError(f"fixtures/upstream_issues.toml has no entry {self.issue}")
        check_specifier(self.versions)


@dataclass(frozen=True, config=STRICT)
class Exceptions:
    """The exceptions of one model; conversations by `topic.id`, each with the reason."""

    raises: dict[str, Comment] = field(default_factory=dict)  # its template must refuse them
    merged: dict[str, int] = field(default_factory=dict)  # as `ChatCase.merged`
    # The registry's frames must not be what is written: the template computes.
    unframed: dict[str, Comment] = field(default_factory=dict)
    # What is said must not appear once and in order: the template drops, moves or reads it.
    computed: dict[str, Comment] = field(default_factory=dict)
    # The prompt before an answer must not begin the whole conversation.
    rewritten: dict[str, Comment] = field(default_factory=dict)
    written: tuple[Written, ...] = ()
    faults: tuple[Fault, ...] = ()


_NONE = Exceptions()


def read_exceptions(key: str, folder: Path = EXCEPTIONS) -> Exceptions:
    """The exceptions of a model, none without a file; DataError names file and key."""
    path = folder / f"{key}.json"
    if not path.is_file():
        return _NONE
    found: Exceptions = parse(Exceptions, read_json(path), path, key)
    chats = {*found.raises, *found.merged, *found.unframed, *found.computed, *found.rewritten}
    for names, known in ((chats, conversations()), ({w.case for w in found.written}, texts())):
        if unknown := sorted(names - set(known)):
            raise DataError(f"exceptions/{path.name}: [{key}] there is no case {unknown[0]}")
    return found


@cache
def exceptions(key: str) -> Exceptions:
    """The project's own, read once."""
    return read_exceptions(key)


def _of(model: Model) -> list[Exceptions]:
    """Of texts: the model's own, then its bases'."""
    return [exceptions(key) for key in (model.key, *model.bases)]


def _of_chats(model: Model) -> list[Exceptions]:
    """Of conversations: the same, of the bases with the same template."""
    return [exceptions(key) for key in (model.key, *model.chat_bases)]


def refuses(model: Model, chat: ChatCase) -> bool:
    """Whether the model is declared to refuse a conversation."""
    keys = {model.key, *model.chat_bases}
    return bool(keys & set(chat.raises)) or any(chat.name in e.raises for e in _of_chats(model))


def merged_at(model: Model, chat: ChatCase) -> int | None:
    """The position at which answers are declared to merge with their prompt."""
    own = [found.merged.get(chat.name) for found in _of_chats(model)]
    cases = [chat.merged.get(key) for key in (model.key, *model.chat_bases)]
    return next((at for at in [*own, *cases] if at is not None), None)


def is_unframed(model: Model, chat: ChatCase) -> bool:
    """Whether the frames are declared not to be what the template writes."""
    return any(chat.name in found.unframed for found in _of_chats(model))


def is_computed(model: Model, chat: ChatCase) -> bool:
    """Whether what is said is declared not to appear once and in order."""
    return any(chat.name in found.computed for found in _of_chats(model))


def is_rewritten(model: Model, chat: ChatCase) -> bool:
    """Whether the conversation is declared not to begin with an earlier prompt."""
    return any(chat.name in found.rewritten for found in _of_chats(model))


def twin_of(model: Model, chat: ChatCase) -> Twin | None:
    """The declared twin of a conversation, if the model has one."""
    keys = (model.key, *model.chat_bases)
    return next(filter(None, (chat.twin(key) for key in keys)), None)


def expected_text(model: Model, text: TextCase, kind: str) -> str:
    """The declared text for a model, else the text itself."""
    for key in (model.key, *model.bases):
        for one in exceptions(key).written:
            if one.case == text.name and one.kind == kind:
                return one.text
        if (declared := text.expected(key, kind)) != text.full_text:
            return declared
    return text.full_text


def expected_value(model: Model, call: Call) -> Any:
    """What a call must give by `fixtures/calls.json`; KeyError if it is not tried."""
    for key in _callers(model, call):
        if key in call.expected:
            return call.expected[key]
    raise KeyError(model.key)


def is_expected(model: Model, call: Call) -> bool:
    """Whether the call is tried with the model."""
    return any(key in call.expected for key in _callers(model, call))


def _callers(model: Model, call: Call) -> tuple[str, ...]:
    of_chats = call.call == "chat_lengths"
    return (model.key, *(model.chat_bases if of_chats else model.bases))


def is_published(model: Model, output: Published) -> bool:
    """Whether an output that others published is the model's, or must be as its base's."""
    bases = model.chat_bases if output.prompt is not None else model.bases
    return output.model in (model.key, *bases)


def own_faults(key: str) -> list[UpstreamIssue]:
    """The faults of a model as entries of known failures."""
    known = {issue.id: issue for issue in upstream_issues()}
    issues = []
    for number, fault in enumerate(exceptions(key).faults):
        place = f"fixtures/exceptions/{key}.json"
        entry: dict[str, Any] = {
            "id": f"{key}_{number}",
            "link": fault.link,
            "package": fault.package,
            "versions": fault.versions,
            "reason": f"{fault.reason} ({place})",
        }
        if fault.issue:
            of = known[fault.issue]
            names = ("link", "package", "versions", "reason")
            entry |= {name: getattr(of, name) for name in names} | {"id": of.id}
        issues.append(UpstreamIssue(**entry, nodes=fault.nodes))
    return issues


def without_model() -> list[str]:
    """Files of exceptions that belong to no model."""
    return sorted({path.stem for path in EXCEPTIONS.glob("*.json")} - set(registry()))
