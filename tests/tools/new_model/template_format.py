"""How a chat template frames messages, seen by rendering; nothing where it is not simple."""

from collections.abc import Callable
from typing import Any

Render = Callable[..., str]


def rendering(tokenizer: Any) -> Render:
    """Renders `role, content` pairs; empty where the template refuses them."""

    def render(*turns: tuple[str, str], **given: Any) -> str:
        messages = [{"role": role, "content": content} for role, content in turns]
        try:
            return str(tokenizer.apply_chat_template(messages, tokenize=False, **given))
        except Exception:  # which one a template raises is its own affair
            return ""

    return render


def takes_system(render: Render) -> bool:
    """Whether a system message is written where it stands."""
    return "zero" in render(("system", "zero"), ("user", "first"))


def framing(render: Render) -> dict[str, Any]:
    """`turn`, `generation_prompt` and what else `Model` says of frames; empty if that cannot
    describe the template, or if it describes what it does not do.
    """
    system, user = ("system", "zero"), ("user", "first")
    talk = (user, ("assistant", "second"), ("user", "third"))
    start, _, rest = render(*talk).partition("first")
    between, end_of_talk = rest.partition("second")[2].partition("third")[::2]
    opened = opening_of_user(render(system, user).partition("zero")[0], start)
    if not (opened and between.endswith(opened) and "user" in opened):
        return {}
    close = between.removesuffix(opened)
    turn = f"{braces(opened).replace('user', '{role}')}{{content}}{braces(close)}"
    end = end_of_talk.removeprefix(close)
    facts: dict[str, Any] = {"turn": turn, "conversation_end": end}
    if added := start.removesuffix(opened):
        before, after = turn.format(role="system", content="zero").split("zero")
        facts["default_system"] = added.removeprefix(before).removesuffix(after)
    closed = render(user).removesuffix(end)
    asked = render(user, add_generation_prompt=True)
    facts["generation_prompt"] = asked.removeprefix(closed)
    if render(("user", " first ")) == render(user):
        facts["trims_content"] = True
    agrees = asked.startswith(closed) and all(
        render(*turns) == written(facts, turns)
        for turns in (talk, (system, user))
        if render(*turns)
    )
    return {name: text for name, text in facts.items() if text} if agrees else {}


def opening_of_user(before_system: str, before_user: str) -> str:
    """What opens a user's message: as a system's is opened, where there is one in front."""
    return before_system.replace("system", "user") or before_user


def written(facts: dict[str, Any], turns: tuple[tuple[str, str], ...]) -> str:
    """What the facts say that the template writes."""
    if "default_system" in facts and turns[0][0] != "system":
        turns = (("system", facts["default_system"]), *turns)
    framed = [facts["turn"].format(role=role, content=content) for role, content in turns]
    return "".join([*framed, facts["conversation_end"]])


def braces(text: str) -> str:
    """Text as `str.format` takes it for itself."""
    return text.replace("{", "{{").replace("}", "}}")
