"""What a server that somebody else runs is asked, case by case; the first difference is told."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from ..data.cases import ChatCase, TextCase
from ..data.engines import Engine, engines
from ..data.upstream_issues import Pattern, patterns
from ..errors import ContractBroken, fail, fail_unjudged
from .client import RequestError
from .endpoint import Endpoint, address
from .judging import check_prompt_ids, check_served_ids, check_served_prompt, pinned_rows
from .signatures import diagnose, signatures

Blocks = dict[str, str]


def check_texts(endpoint: Endpoint, texts: Iterable[TextCase], special: bool) -> None:
    """Fail with the first text whose ids differ from the file's."""
    served, file = endpoint.served, endpoint.tokenizer.tokenizers
    what = "ids" if special else "ids without special tokens"

    def check(text: TextCase) -> None:
        whole = text.full_text
        expected = file.encode(whole, add_special_tokens=special).ids
        got = served.connection.ids(whole, special=special) if whole else expected
        check_served_ids(served, text.name, what, got, expected, whole)

    test = "test_ids" if special else "test_ids_without_special_tokens"
    _check_all(endpoint, (test,), list(texts), check)


def check_prompts(endpoint: Endpoint, chats: Sequence[ChatCase], blocks: Blocks) -> None:
    """Fail with the first conversation whose prompt or ids differ from the pinned ones."""
    served = endpoint.served
    connection = served.connection

    def check(chat: ChatCase) -> None:
        lines, rows = pinned_rows(served, chat, blocks)
        expected = [int(row.partition(" ")[0]) for row in rows]
        if connection.can("prompt"):
            shown = served.with_bos(connection.prompt(chat))
            check_served_prompt(served, chat, shown, lines)
        check_prompt_ids(served, chat, connection.prompt_ids(chat), expected)

    _check_all(endpoint, ("test_prompt", "test_prompt_ids"), chats, check)


def check_counts(endpoint: Endpoint, chats: Sequence[ChatCase]) -> None:
    """Fail if prompts have other numbers of tokens, and say which known fault makes such numbers.

    A count takes a token of the model's, so that only a server that may generate is asked.
    """
    served = endpoint.served
    route = "count" if served.connection.can("count") else "usage"
    if route == "usage" and not endpoint.generates:
        fail_unjudged(endpoint.key, f"{served.label} names no number of tokens without an answer")
    key = endpoint.key

    def is_known(name: str) -> bool:
        tests = ("test_ids", "test_prompt_ids")
        return any(_is_known(served.engine, f"{test}[{key}-{name}]") for test in tests)

    known = signatures(endpoint.tokenizer, chats, is_known)
    got = []
    for chat in known.chats:
        try:
            got.append(served.connection.count(chat, route))
        except RequestError as error:
            endpoint.refuse(str(error))
    if fault := diagnose(known, tuple(got)):
        wrong = [
            (chat, one, right)
            for chat, one, right in zip(known.chats, got, known.faults["nothing"], strict=True)
            if one != right
        ]
        chat, one, right = wrong[0]
        fail(
            f"{endpoint.key} {chat.name}",
            f"{served.label} at {address(endpoint.url)} counts {one} tokens of a prompt of "
            f"{right}, first of {len(wrong)} of {len(got)} counts that differ",
            *(f"  {chat.name}: {one}, pinned {right}" for chat, one, right in wrong),
            cause=f"the counts look like {fault}",
        )


def _check_all(
    endpoint: Endpoint, tests: Sequence[str], cases: Sequence[Any], check: Callable[[Any], None]
) -> None:
    """Check each; fail with the first that no known difference of the engine explains."""
    broken, known = list[ContractBroken](), 0
    for case in cases:
        try:
            check(case)
            continue
        except ContractBroken as error:
            wrong = error
        except RequestError as error:
            if " answers 4" not in str(error):
                endpoint.refuse(str(error))
            what = f"{endpoint.served.label} gives nothing: {error}"
            wrong = ContractBroken(f"{endpoint.key} {case.name}", what)
        nodes = [f"{test}[{endpoint.key}-{case.name}]" for test in tests]
        if any(_is_known(endpoint.served.engine, node) for node in nodes):
            known += 1
        else:
            broken.append(wrong)
    if not broken:
        return
    first, number = broken[0], len(broken)
    cause = first.cause
    if number * 2 > len(cases):
        cause = f"it serves another model than {endpoint.key}, or {cause}"
    fail(
        first.subject,
        f"{first.what} (first of {number} of {len(cases)} that differ, beside {known} known)",
        *first.details,
        cause=cause,
        evidence=first.evidence,
    )


def _is_known(engine: Engine, node: str) -> bool:
    """Whether the engine is declared to differ there."""
    return any(pattern.regex.fullmatch(node) for pattern in _declared(engine.key))


@cache
def _declared(key: str) -> list[Pattern]:
    """What the engine is declared to differ in."""
    return patterns(engines()[key].as_issues())
