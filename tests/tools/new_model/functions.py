"""How a chat template writes functions, found by rendering it with jinja2 alone."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import product
from json import JSONEncoder
from typing import Any, NoReturn, get_args

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.harness.data.cases import offers
from tests.harness.data.registry import Capability, Functions, Notation
from tests.harness.examination.limits import rendering_limits
from tests.harness.text import error_line
from tests.harness.tokenizer.chat import render
from tests.harness.tokenizer.frames import function_of, misplaced, texts_of, with_functions
from tests.harness.tokenizer.loaded import LoadedTokenizer

Write = Callable[..., str]  # the prompt of a user's message, and of arguments; "" if refused
_CONTENT = "qj0zx"
_TWO = (
    function_of("afind_qj", "Bfinds qj.", "cby_qj", "Dwhat a qj is."),
    function_of("elist_zx", "Flists zx.", "gof_zx", "Hwhat a zx is."),
)
# Arguments of a template's own -> a value that changes the prompt of one that has it.
_ARGUMENTS: dict[Capability, Any] = {
    "date_string": "01 Jan 2030",
    "builtin_tools": ["brave_search", "code_interpreter"],
    "tools_in_user_message": False,
}


def function_facts(
    template: str, tokens: dict[str, str]
) -> tuple[list[Capability], Functions | None]:
    """A template's capabilities on functions, and how it writes them; `tokens` by `bos_token`, say.

    None if the fields of `Functions` cannot express it: what they say is rendered back.
    """
    try:
        write = _writer(template, tokens)
    except TemplateSyntaxError:  # a tag that only transformers knows
        return [], None
    plain, offered = write(), write(tools=_TWO)
    honours = bool(plain) and not misplaced(offered, _TWO, None)
    capabilities: list[Capability] = ["tools"] if honours else []
    if honours and '"price": "x"' in write({"role": "tool", "content": {"price": "x"}}):
        capabilities.append("json_results")
    for name, value in _ARGUMENTS.items():
        given = {"tools": _TWO} if name == "tools_in_user_message" else {}
        if plain and write(**given, **{name: value}) not in ("", write(**given)):
            capabilities.append(name)
    frames = _frames(write, offered) if honours else iter(())
    return capabilities, next((frame for frame in frames if _holds(frame, write)), None)


def untested(tokenizer: LoadedTokenizer) -> str:
    """Why prompts with functions are not tested, or not to the letter; empty if they are."""
    model = tokenizer.spec
    if model.functions or not model.can("chat"):
        return ""
    if model.can("tools"):
        return "writes functions as no field of `functions` says: review its prompts"
    hi = [{"role": "user", "content": "Hi"}]
    try:
        text = render(tokenizer, hi, tools=_TWO)
    except Exception as error:  # a template may raise anything
        return f"refuses functions: rendering raises {error_line(error)}"
    if text == render(tokenizer, hi):
        return "writes no functions"
    return f"does not write functions in full: {misplaced(text, _TWO, None)}"


def _holds(frame: Functions, write: Write) -> bool:
    """Whether the template writes what the frame says, of all functions that it can say."""
    for case in offers().values():
        expected = with_functions(frame, case.functions, _CONTENT)
        if expected is not None and write(tools=case.functions) != expected:
            return False
    return True


def _frames(write: Write, offered: str) -> Iterator[Functions]:
    """What may be the frame of two functions: JSON or the like first, then text for text."""
    empty = write(tools=())
    empty = "" if empty == write() else empty.replace(_CONTENT, "{content}")
    for each, notation in product(("{tool}", "{function}", ""), get_args(Notation)):
        before, body, between, behind = _apart(offered, notation, each)
        prompt = f"{before}{{functions}}{behind}".replace(_CONTENT, "{content}")
        if body:
            yield Functions(prompt, body, between, notation, empty)


def _apart(offered: str, notation: Notation, each: str) -> tuple[str, ...]:
    """What is before, of, between and behind two functions; empty if they do not stand apart."""
    spans, bodies = [], []
    for tool in _TWO:
        texts = {text: f"{{{name}}}" for name, text in texts_of(tool).items()}
        if each:
            frame = Functions("{functions}", each, "", notation, "")
            text = with_functions(frame, [tool], "") or ""
            start, end = offered.find(text), offered.find(text) + len(text)
        else:
            start = min(offered.find(text) for text in texts)
            end = max(offered.rfind(text) + len(text) for text in texts)
        if start < 0:
            return ("",) * 4
        spans.append((start, end))
        pattern = "|".join(map(re.escape, texts))
        parts = re.split(f"({pattern})", offered[start:end])
        bodies.append(each or "".join(texts.get(part, part) for part in parts))
    (start, end), (second, last) = spans
    if end > second or bodies[0] != bodies[1]:
        return ("",) * 4
    return offered[:start], bodies[0], offered[end:second], offered[last:]


def _writer(template: str, tokens: dict[str, str]) -> Write:
    """Renders a user's message and more as transformers documents it, by jinja2's sandbox."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _as_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    # transformers' own tag around answers writes what is inside it.
    known = re.sub(r"{%(-?)\s*generation\s*(-?)%}", r"{%\1 if true \2%}", template)
    known = re.sub(r"{%(-?)\s*endgeneration\s*(-?)%}", r"{%\1 endif \2%}", known)
    compiled = environment.from_string(known)

    def write(*more: dict[str, Any], tools: Sequence[Any] | None = None, **given: Any) -> str:
        given |= {"messages": [{"role": "user", "content": _CONTENT}, *more]}
        given |= {"tools": tools if tools is None else list(tools), "documents": None}
        given |= {"add_generation_prompt": False}
        try:
            with rendering_limits():
                return compiled.render(**tokens, **given)
        except Exception:  # a template may raise anything
            return ""

    return write


def _as_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return JSONEncoder(ensure_ascii=ensure_ascii, **options).encode(value)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
