"""Types of the data's fields whose values are checked: one of another value is refused."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from .models import registry
from .nearest import allowed

MESSAGE_KEYS = ("role", "content", "name", "reasoning_content", "tool_calls", "tool_call_id")
MARKERS = (
    "@vocabulary",
    "@merges",
    "@added_tokens",
    "@added_tokens_decoder",
    "@architecture",
    "@template",
)


def known_model(key: str) -> str:
    """A key of the registry."""
    if key not in registry():
        raise ValueError(f"unknown model {key}: {allowed(key, registry())}")
    return key


def known_message(message: dict[str, Any]) -> dict[str, Any]:
    """A message in whose keys nothing is misspelt: a template takes what it misses for empty."""
    for key in message:
        if key not in MESSAGE_KEYS:
            raise ValueError(f"unknown key {key}: {allowed(key, MESSAGE_KEYS)}")
    if "role" not in message or not {"content", "tool_calls"} & set(message):
        raise ValueError("needs role, and content or tool_calls; what is meant to be empty is null")
    return message


def known_markers(content: Any) -> Any:
    """JSON in which every text that begins with @ is a marker which something fills."""
    if isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            known_markers(value)
    elif isinstance(content, str) and content.startswith("@") and content not in MARKERS:
        raise ValueError(f"unknown marker {content}: {allowed(content, MARKERS)}")
    return content


Slug = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Comment = Annotated[str, Field(min_length=10)]
ModelKey = Annotated[str, AfterValidator(known_model)]
Message = Annotated[dict[str, Any], AfterValidator(known_message)]
Content = Annotated[dict[str, Any] | str, AfterValidator(known_markers)]
