"""What is observed of a loaded tokenizer: texts, conversations, types, settings."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.harness.data.cases import ChatCase, TextCase
from tests.harness.tokenizer.tokenizer_json import pipeline

from .record import Observer, short, type_name

HELLO = [{"role": "user", "content": "Hi"}]
TOKENS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
SETTINGS = (
    *("padding_side", "truncation_side", "model_max_length", "clean_up_tokenization_spaces"),
    *("model_input_names", "chat_template", "is_fast"),
)
FLAGS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")


def spans(offsets: Sequence[Sequence[int]]) -> list[list[int]]:
    """Offsets as JSON holds them."""
    return [list(it) for it in offsets]


def streamed(backend: Any, ids: list[int]) -> str:
    """The text of the ids, decoded one by one."""
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    return "".join(stream.step(backend, token_id) or "" for token_id in ids)


def added_tokens(decoder: dict[int, Any]) -> dict[str, dict[str, Any]]:
    """Id to content and flags."""
    return {str(i): {flag: getattr(it, flag) for flag in FLAGS} for i, it in decoder.items()}


def observe_pipeline(observer: Observer, backend: Any) -> None:
    """Every part of the pipeline and the model's flags."""
    for part, value in pipeline(backend).items():
        observer.note("pipeline", part, "", short(value))


def observe_text(observer: Observer, auto: Any, case: TextCase) -> None:
    """Ids without special tokens, offsets, and the ways back to text."""
    text, name, attempt = case.full_text, case.name, observer.attempt
    call = "encode(add_special_tokens=False)"
    plain = attempt("ids", call, name, lambda: auto.encode(text, add_special_tokens=False))
    attempt(
        *("offsets", "return_offsets_mapping=True", name),
        lambda: spans(auto(text, return_offsets_mapping=True)["offset_mapping"]),
    )
    attempt(
        *("decode", "decode(skip_special_tokens=True)", name),
        lambda: auto.decode(auto.encode(text), skip_special_tokens=True),
    )
    if plain is not None:
        attempt("decode", "decode", name, auto.decode, plain)
        attempt("decode", "DecodeStream", name, streamed, auto.backend_tokenizer, plain)


def _template_arguments(chat: ChatCase) -> dict[str, Any]:
    """The keyword arguments of `apply_chat_template`, those that are at their default left out."""
    arguments: dict[str, Any] = {"add_generation_prompt": chat.add_generation_prompt}
    if chat.continue_final_message:
        arguments["continue_final_message"] = True
    if chat.tools is not None:
        arguments["tools"] = list(chat.tools)
    return arguments | chat.template_kwargs


def observe_chat(observer: Observer, auto: Any, chat: ChatCase) -> None:
    """The prompt's text, and its ids by `tokenize=True`, whatever type they come in."""

    def ask(tokenize: bool) -> Any:
        messages = [dict(it) for it in chat.messages]
        return auto.apply_chat_template(messages, tokenize=tokenize, **_template_arguments(chat))

    def ids() -> list[int]:
        batch = ask(tokenize=True)
        return list(batch if isinstance(batch, list) else batch["input_ids"])

    call = "apply_chat_template"
    observer.attempt("rendered text", call, chat.name, ask, False)
    observer.attempt("ids", call, chat.name, ids)


def observe_types(observer: Observer, auto: Any) -> None:
    """The types of what the usual calls return."""
    render = auto.apply_chat_template
    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: auto.encode("Hi"),
        "__call__": lambda: auto("Hi"),
        "__call__()['input_ids']": lambda: auto("Hi")["input_ids"],
        "decode": lambda: auto.decode([1]),
        "batch_decode": lambda: auto.batch_decode([[1], [2]]),
        "tokenize": lambda: auto.tokenize("Hi"),
        "convert_tokens_to_ids": lambda: auto.convert_tokens_to_ids(["Hi"]),
        "apply_chat_template(tokenize=False)": lambda: render(HELLO, tokenize=False),
        "apply_chat_template(tokenize=True)": lambda: render(HELLO, tokenize=True),
        "apply_chat_template(return_dict=True)": lambda: render(HELLO, return_dict=True),
    }
    for call, work in calls.items():
        observer.attempt("return type", call, "", lambda done: type_name(done()), work)


def observe_settings(observer: Observer, auto: Any) -> None:
    """Class, pipeline and settings of the loaded tokenizer, and its special tokens."""
    observer.note("pipeline", "class", "", type(auto).__name__)
    observe_pipeline(observer, auto.backend_tokenizer)
    for name in SETTINGS:
        observer.attempt("pipeline", name, "", lambda it: short(getattr(auto, it)), name)
    observer.attempt("pipeline", "vocabulary", "", lambda: short(auto.get_vocab()))
    for name in TOKENS:
        names = (f"{name}_token_id", f"{name}_token")
        pair = lambda *both: [getattr(auto, it) for it in both]  # noqa: E731
        observer.attempt("special tokens", f"{name}_token", "", pair, *names)
    attempt = observer.attempt
    attempt("special tokens", "all_special_ids", "", lambda: sorted(auto.all_special_ids))
    attempt("special tokens", "added tokens", "", lambda: added_tokens(auto.added_tokens_decoder))
