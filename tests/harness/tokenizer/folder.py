"""What lies in a model's folder beside its declared files and changes what libraries make of it."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..examination.entries import TEMPLATES as ADDITIONAL

# Read by transformers if they are there, whatever the declared files say.
EXTRA = (
    *("generation_config.json", "added_tokens.json", "special_tokens_map.json"),
    *("chat_template.jinja", "chat_template.json", ADDITIONAL),
)
TEMPLATES = ("chat_template.jinja", "chat_template.json")
# Keys of generation_config.json that say where it is from, and nothing of generation.
_ORIGIN = ("transformers_version", "_from_model_config")


def extra_findings(folder: Path, declared: Collection[str], name: str) -> list[str]:
    """What an undeclared file or folder of EXTRA says, by file and key; empty if it adds nothing.

    A table of tokens that agrees with tokenizer.json adds nothing. `name: not JSON` for one that
    cannot be read.
    """
    path = folder / name
    if name in declared or not path.exists():
        return []
    if path.is_dir():
        return [f"{name}/{each.name} is one more template" for each in sorted(path.iterdir())]
    if name.endswith(".jinja"):
        return [f"{name} overrides tokenizer_config.json's template"]
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return [f"{name} is not JSON"]
    if name in TEMPLATES:
        return [f"{name} overrides tokenizer_config.json's template"]
    tokens = _tokens(folder)
    return [f"{name}: {line}" for line in _lines(name, content, tokens)]


def _tokens(folder: Path) -> dict[str, int]:
    """Ids of the added tokens of tokenizer.json; those of its vocabulary where they are there."""
    content = json.loads((folder / "tokenizer.json").read_bytes())
    vocabulary = content["model"]["vocab"]
    if isinstance(vocabulary, list):  # of Unigram: rows of token and score
        vocabulary = {token: index for index, (token, _) in enumerate(vocabulary)}
    return dict(vocabulary) | {token["content"]: token["id"] for token in content["added_tokens"]}


def _lines(name: str, content: dict[str, Any], tokens: dict[str, int]) -> Iterator[str]:
    if name == "generation_config.json":
        for key, value in content.items():
            if key not in _ORIGIN:
                yield f"{key} = {value!r:.60} is declared nowhere"
    elif name == "added_tokens.json":
        for name_, index in content.items():
            if tokens.get(name_) != index:
                yield f"{name_!r} = {index}, tokenizer.json has {tokens.get(name_)}"
    else:
        for key, value in content.items():
            for one in value if isinstance(value, list) else [value]:
                token: Any = one.get("content") if isinstance(one, dict) else one
                if token not in tokens:
                    yield f"{key} = {token!r:.60}, which tokenizer.json does not have"


def null_keys(folder: Path, name: str, declared: dict[str, Any]) -> list[str]:
    """Keys of a JSON file that are null and not declared so: readers take them for given."""
    content = json.loads((folder / name).read_bytes())
    return [
        f"{name}: {key} = null, declared {declared.get(key, 'nowhere')!r:.60}"
        for key, value in content.items()
        if value is None and declared.get(key, "") is not None
    ]


def named_templates(folder: Path) -> str:
    """The names of the templates of tokenizer_config.json, if it has a list of them, else empty."""
    template = json.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template")
    if not isinstance(template, list):
        return ""
    names = (one.get("name", "?") if isinstance(one, dict) else "?" for one in template)
    return ", ".join(map(str, names)) or "none"


def template_texts(folder: Path) -> dict[str, str]:
    """The chat templates of the folder's files by file; a list of named ones as JSON."""
    texts = {}
    settings = json.loads((folder / "tokenizer_config.json").read_bytes())
    if template := settings.get("chat_template"):
        texts["tokenizer_config.json"] = template
    if (path := folder / "chat_template.json").is_file():
        texts[path.name] = json.loads(path.read_bytes()).get("chat_template", "")
    if (path := folder / "chat_template.jinja").is_file():
        texts[path.name] = path.read_bytes().decode()
    return {
        name: text if isinstance(text, str) else json.dumps(text) for name, text in texts.items()
    }


def disagreements(folder: Path, topic: str) -> list[str]:
    """Where the folder's files contradict each other, by one of TOPICS; each names both sides."""
    return list(_TOPICS[topic](_read_all(folder), _tokens(folder)))


def _read_all(folder: Path) -> dict[str, dict[str, Any]]:
    """The small files as JSON, those that are not there empty, and the templates by file."""
    names = ("tokenizer_config.json", "special_tokens_map.json", "config.json")
    files = {name: folder / name for name in (*names, "generation_config.json")}
    read = {name: json.loads(p.read_bytes()) if p.is_file() else {} for name, p in files.items()}
    return read | {"templates": template_texts(folder)}


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _special(files: dict[str, Any], tokens: dict[str, int]) -> Iterator[str]:
    """Special tokens are tokens, the same in each file, and the model stops where text ends."""
    settings, table = files["tokenizer_config.json"], files["special_tokens_map.json"]
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        token = _content(settings.get(name))
        if token is not None and token not in tokens:
            yield f"tokenizer_config.json: {name} = {token!r}, which tokenizer.json does not have"
        other = _content(table.get(name))
        if None not in (token, other) and token != other:
            yield f"{name} = {token!r} in tokenizer_config.json, {other!r} in special_tokens_map"
    for index, token in settings.get("added_tokens_decoder", {}).items():
        if tokens.get(token["content"]) != int(index):
            id_ = tokens.get(token["content"])
            yield (
                f"tokenizer_config.json: added_tokens_decoder: {token['content']!r} = {index}, "
                f"tokenizer.json has {id_}"
            )
    eos = tokens.get(_content(settings.get("eos_token")))
    for name in ("config.json", "generation_config.json"):
        given = files[name].get("eos_token_id")
        ends = given if isinstance(given, list) else [given]
        if eos is not None and given is not None and eos not in ends:
            yield f"{name}: eos_token_id = {given}, the tokenizer's eos is {eos}: it never stops"


def _size(files: dict[str, Any], tokens: dict[str, int]) -> Iterator[str]:
    """There is a row of the embedding for every token."""
    rows = files["config.json"].get("vocab_size")
    last = max(tokens.values(), default=0)
    if isinstance(rows, int) and rows <= last:
        name = next(token for token, index in tokens.items() if index == last)
        yield f"config.json: vocab_size = {rows}, tokenizer.json has {name!r} = {last}"


def _templates(files: dict[str, Any], tokens: dict[str, int]) -> Iterator[str]:
    """What a template writes like a control token, and all but one or two letters are one, is one.

    Tokens that the tokenizer lacks altogether are text to it, which a template may well write.
    """
    control = [token for token in tokens if _CONTROL.fullmatch(token)]
    for name, text in files["templates"].items():
        for word in dict.fromkeys(_CONTROL.findall(text)):
            if word in tokens:
                continue
            near = get_close_matches(word, control, n=1, cutoff=0.85)
            if near and near[0] not in text:
                yield f"{name}: the template writes {word!r}, tokenizer.json has {near[0]!r}"


_CONTROL = re.compile(r"<[|\uff5c]?[\w\u2581/]+[|\uff5c]?>|\[/?[A-Z_]+\]")
_TOPICS: dict[str, Callable[[dict[str, Any], dict[str, int]], Iterator[str]]] = {
    "special_tokens": _special,
    "vocabulary_size": _size,
    "template": _templates,
}
TOPICS = tuple(_TOPICS)
