"""How a chat template frames messages, found by rendering; empty where it is not simple."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.harness.examination.limits import rendering_limits

Render = Callable[..., str]


def renderer(tokenizer: Any) -> Render:
    """A function that renders `role, content` pairs; "" where the template refuses them."""

    def render(*turns: tuple[str, str], **options: Any) -> str:
        messages = [{"role": role, "content": content} for role, content in turns]
        try:
            with rendering_limits():
                return str(tokenizer.apply_chat_template(messages, tokenize=False, **options))
        except Exception:  # a template may raise anything
            return ""

    return render


def renders_system(render: Render) -> bool:
    """Whether the template writes a system message, and does not drop or refuse it."""
    return "zero" in render(("system", "zero"), ("user", "first"))


def detect_format(render: Render) -> dict[str, Any]:
    """`turn`, `generation_prompt` and the further fields of `Model` on message formats.

    Empty if these fields cannot express the template: each guess is rendered back and compared.
    """
    system, user = ("system", "zero"), ("user", "first")
    talk = (user, ("assistant", "second"), ("user", "third"))
    start, _, rest = render(*talk).partition("first")
    between, end_of_talk = rest.partition("second")[2].partition("third")[::2]
    # A user's message opens as a system's does, where the template takes one in front.
    opening = render(system, user).partition("zero")[0].replace("system", "user") or start
    if not (opening and between.endswith(opening) and "user" in opening):
        return {}
    close = between.removesuffix(opening)
    turn = f"{_double_braces(opening).replace('user', '{role}')}{{content}}{_double_braces(close)}"
    end = end_of_talk.removeprefix(close)
    facts: dict[str, Any] = {"turn": turn, "conversation_end": end}
    if added := start.removesuffix(opening):
        before, after = turn.format(role="system", content="zero").split("zero")
        facts["default_system"] = added.removeprefix(before).removesuffix(after)
    closed = render(user).removesuffix(end)
    prompt = render(user, add_generation_prompt=True)
    facts["generation_prompt"] = prompt.removeprefix(closed)
    if render(("user", " first ")) == render(user):
        facts["trims_content"] = True
    agrees = prompt.startswith(closed) and all(
        render(*turns) == predicted(facts, turns)
        for turns in (talk, (system, user))
        if render(*turns)
    )
    kept = {name: value for name, value in facts.items() if value or name == "generation_prompt"}
    return kept if agrees else {}


def predicted(facts: dict[str, Any], given: Sequence[tuple[str, str]]) -> str:
    """What the template would write if the facts were all of it."""
    turns = list(given)
    if "default_system" in facts and turns[0][0] != "system":
        turns.insert(0, ("system", facts["default_system"]))
    framed = [facts["turn"].format(role=role, content=content) for role, content in turns]
    return "".join([*framed, facts.get("conversation_end", "")])


def _double_braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
