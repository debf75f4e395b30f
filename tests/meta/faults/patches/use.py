"""Faults by which use of a tokenizer leaves a trace, or saving one loses something."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from transformers import PreTrainedTokenizerFast as Fast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase as Base

from .places import Function, replace, set_existing


def setting_kept(method: str, keyword: str, name: str, value: Any) -> None:
    """A call with a keyword argument sets an attribute, and does not set it back."""
    owner = Base if method in ("apply_chat_template", "decode") else Fast

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any, **given: Any) -> Any:
            result = right(self, *args, **given)
            if given.get(keyword):
                set_existing(self, name, value)
            return result

        return faulty

    replace(owner, method, make, when=lambda given: bool(given.get(keyword)))


def template_kept() -> None:
    """A template given to one call stays the tokenizer's."""

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any, **given: Any) -> Any:
            result = right(self, *args, **given)
            if given.get("chat_template"):
                self.chat_template = given["chat_template"]
            return result

        return faulty

    replace(Base, "apply_chat_template", make, when=lambda given: "chat_template" in given)


def first_result_again() -> None:
    """A cache of results that looks at the text alone, and not at how it is cut."""
    kept: dict[Any, Any] = {}

    def make(right: Function) -> Function:
        def faulty(self: Any, text: Any, *args: Any, **given: Any) -> Any:
            result = right(self, text, *args, **given)
            if given.get("max_length") == 8:
                kept[id(self), text] = result
            elif isinstance(text, str) and given.get("add_special_tokens", True):
                return kept.pop((id(self), text), result)
            return result

        return faulty

    replace(Fast, "_encode_plus", make)


def text_shared_by_threads() -> None:
    """The text of a call is kept in the tokenizer while it is encoded."""

    def make(right: Function) -> Function:
        def faulty(self: Any, text: Any, *args: Any, **given: Any) -> Any:
            own = (text, given.get("add_special_tokens"))
            self.under_way = own
            result = right(self, text, *args, **given)
            if self.under_way != own and isinstance(text, str):
                result["input_ids"] = result["input_ids"][1:]
            return result

        return faulty

    replace(Fast, "_encode_plus", make)


def _after_saving(change: Any) -> None:
    def make(right: Function) -> Function:
        def faulty(self: Any, folder: Any, *args: Any, **given: Any) -> Any:
            result = right(self, folder, *args, **given)
            change(Path(folder))
            return result

        return faulty

    replace(Base, "save_pretrained", make)


def saving_edits(file: str, key: str, value: Any) -> None:
    """A saved JSON file says something else under a key."""

    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text(encoding="utf-8"))
        content[key] = value
        (folder / file).write_text(json.dumps(content), encoding="utf-8")

    _after_saving(change)


def saving_drops_flags() -> None:
    """Added tokens are saved without their flags."""

    def change(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        for token in content["added_tokens"]:
            token["rstrip"] = False
        path.write_text(json.dumps(content), encoding="utf-8")
        path = folder / "tokenizer_config.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        for token in content.get("added_tokens_decoder", {}).values():
            token["rstrip"] = False
        path.write_text(json.dumps(content), encoding="utf-8")

    _after_saving(change)


def saving_drops_template() -> None:
    """The chat template is not saved."""
    _after_saving(lambda folder: (folder / "chat_template.jinja").unlink(missing_ok=True))


def saved_folder_loads_with(name: str, value: Any) -> None:
    """What this version saved it reads with another setting."""

    def make(right: Function) -> Function:
        def faulty(folder: Any, *args: Any, **given: Any) -> Any:
            auto = right(folder, *args, **given)
            if "-nothing-saved-" in str(folder):
                set_existing(auto, name, value)
            return auto

        return faulty

    replace(AutoTokenizer, "from_pretrained", make)
