"""Makes the edits of a planted fault in a folder."""

import json
from pathlib import Path
from typing import Any

from .catalogue import Edit


def changed(content: Any, edit: Edit) -> Any:
    """The content (JSON, or a text if there is no path) with the edit made; in place if JSON."""
    if not edit.path:
        return replaced(content, edit.value)
    *front, last = edit.path
    place = content
    for step in front:
        place = place[step]
    match edit.op:
        case "delete":
            del place[last]
        case "insert":
            place.insert(last, edit.value)
        case "swap":
            left, right = edit.value
            place[last][left], place[last][right] = place[last][right], place[last][left]
        case "replace":
            place[last] = replaced(place[last], edit.value)
        case _:
            place[last] = edit.value
    return content


def replaced(text: str, pair: tuple[str, str]) -> str:
    """The text with one piece in place of another; ValueError if it does not stand there."""
    if pair[0] not in text:
        raise ValueError(f"{pair[0]!r} does not stand there")
    return text.replace(*pair)


def make(edit: Edit, folder: Path) -> None:
    """Make one edit in a folder; a file may be a link, so it is written anew."""
    path = folder / edit.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if edit.op in ("write", "append"):
        new = (text if edit.op == "append" else "") + edit.value
    elif edit.path:
        content = json.loads(text)
        before = json.dumps(content, ensure_ascii=False)
        new = json.dumps(changed(content, edit), ensure_ascii=False)
        text = before  # layout alone is no change
    elif edit.op == "replace":
        new = changed(text, edit)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if edit.op == "remove":
        return
    if new == text:
        raise ValueError(f"{edit} changes nothing")
    path.write_text(new, encoding="utf-8")
