"""What a child process does with a folder: read, load, encode, decode and render everything.

All texts and conversations are tried, so that nothing the tests do with them is done first there.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..data.cases import ChatCase, TextCase, conversations, texts
from ..text import error_line
from ..versions import versions
from .content import examine_json
from .entries import UnfitError

Step = Callable[[str, str, str], None]  # file, key, what is about to be done
_ROOM = 2_000  # tokens or characters that a library may add to any text
_FEW = 5  # texts
_TIMES = 40  # and how many times as long as it the result may be
_PROMPT = 1_000_000  # characters
_TOKENIZER = "tokenizer.json"
# What every chat template must render one of.
_PLAIN = (
    ("a user's question", ("user",)),
    ("a system message and a question", ("system", "user")),
    ("three turns", ("user", "assistant", "user")),
)


def try_folder(folder: Path, names: set[str], chats: bool, step: Step) -> None:
    """Do all of it; UnfitError for what fails, or grows beyond measure.

    `chats`: whether the model must have a chat template.
    """
    step("the files", "", "reading")
    examine_json(folder, names)
    _try_file(folder, step)
    auto = _try_transformers(folder, step)
    if auto.chat_template:
        _try_template(auto, names, step)
    elif chats:
        what = "is missing, and this model renders conversations"
        raise UnfitError("tokenizer_config.json", what, "chat_template")


def _try_file(folder: Path, step: Step) -> None:
    from tokenizers import Tokenizer

    step(_TOKENIZER, "", "loading")
    with _failing_as(_TOKENIZER, f"cannot be read by tokenizers {versions()['tokenizers']}"):
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    broken: list[tuple[str, str, str]] = []  # part, text and error
    counts = [_try_text(tokenizer, case, step, broken) for case in texts().values()]
    _check_broken(_TOKENIZER, broken)
    if (empty := counts.count(0)) * 2 > len(counts):
        what = f"makes no token of {empty} of {len(counts)} texts"
        raise UnfitError(_TOKENIZER, what, "model")


def _try_text(
    tokenizer: Any, case: TextCase, step: Step, broken: list[tuple[str, str, str]]
) -> int:
    """Take a text through the tokenizer part by part, so that the part at fault is known.

    The number of its tokens, special ones left out.
    """
    text = case.full_text

    def part(key: str, what: str, work: Callable[[], Any]) -> Any:
        step(_TOKENIZER, key, f"with the text {case.name}")
        try:
            result = work()
        except MemoryError:
            raise
        except BaseException as error:  # a PanicException of the Rust side is no Exception
            broken.append((key, case.name, error_line(error)))
            return ""
        _check_growth(_TOKENIZER, key, case, len(result), what)
        return result

    normal = text
    if tokenizer.normalizer is not None:
        normal = part("normalizer", "characters", lambda: tokenizer.normalizer.normalize_str(text))
    if tokenizer.pre_tokenizer is not None:
        split = tokenizer.pre_tokenizer.pre_tokenize_str
        part("pre_tokenizer", "pieces", lambda: split(normal))
    model = "padding" if tokenizer.padding else "model"
    ids = part(model, "tokens", lambda: tokenizer.encode(text, add_special_tokens=False).ids)
    whole = part("post_processor", "tokens", lambda: tokenizer.encode(text).ids)
    part(
        "decoder",
        "characters",
        lambda: tokenizer.decode(list(whole), skip_special_tokens=False),
    )
    return len(ids)


def _check_growth(file: str, key: str, case: TextCase, made: int, what: str) -> None:
    length = len(case.full_text)
    if made > _ROOM + _TIMES * length:
        grown = f"makes {made:,} {what} of the {length:,} characters of the text {case.name}"
        raise UnfitError(file, grown, key)


def _check_broken(file: str, broken: list[tuple[str, str, str]]) -> None:
    """UnfitError if many texts cannot be encoded: each test of each would say so.

    Of a few the contracts say more.
    """
    count = len({name for _, name, _ in broken})
    if count > _FEW:
        key, name, error = broken[0]
        raise UnfitError(
            file, f"fails in {count} of {len(texts())} texts, first {name} ({error})", key
        )


def _try_transformers(folder: Path, step: Step) -> Any:
    from transformers import AutoTokenizer

    step("the files", "", "loading with transformers")
    reader = f"transformers {versions()['transformers']}"
    with _failing_as("the files", f"cannot be loaded by {reader}"):
        auto = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    broken: list[tuple[str, str, str]] = []
    for case in texts().values():
        step("tokenizer_config.json", "", f"with the text {case.name} in transformers")
        try:
            ids = auto.encode(case.full_text)
            auto.decode(ids)
        except MemoryError:
            raise
        except BaseException as error:
            broken.append(("", case.name, error_line(error)))
        else:
            _check_growth("tokenizer_config.json", "", case, len(ids), "tokens")
    _check_broken("the files", broken)
    return auto


def _try_template(auto: Any, names: set[str], step: Step) -> None:
    if isinstance(auto.chat_template, dict) and "default" not in auto.chat_template:
        return  # no call can choose one of them by itself; a contract names them
    file, key = "tokenizer_config.json", "chat_template"
    for name in ("chat_template.json", "chat_template.jinja"):  # each overrides those before it
        if name in names:
            file, key = name, ""

    def render(name: str, messages: Iterable[dict[str, Any]], **given: Any) -> None:
        step(file, key, f"rendering {name}")
        prompt = auto.apply_chat_template([dict(m) for m in messages], tokenize=False, **given)
        if len(prompt) > _PROMPT:
            what = f"makes a prompt of {len(prompt):,} characters of {name}"
            raise UnfitError(file, what, key)

    errors = []
    for name, roles in _PLAIN:
        try:
            render(name, [{"role": role, "content": "Hello"} for role in roles])
        except (UnfitError, MemoryError):
            raise
        except Exception as error:
            errors.append(error_line(error))
    if len(errors) == len(_PLAIN):
        what = f"renders no conversation: it raises {errors[0]}"
        raise UnfitError(file, what, key)
    for chat in conversations().values():
        _render_case(render, chat)


def _render_case(render: Callable[..., None], chat: ChatCase) -> None:
    given = chat.template_arguments()
    for opens in (True, False):
        given["add_generation_prompt"] = opens and not chat.continue_final_message
        try:
            render(f"the conversation {chat.name}", chat.messages, **given)
        except (UnfitError, MemoryError):
            raise
        except Exception:  # a conversation may be refused
            return


@contextmanager
def _failing_as(file: str, what: str) -> Iterator[None]:
    """Turn an error of a library into what is wrong with a file."""
    try:
        yield
    except (UnfitError, MemoryError):
        raise
    except BaseException as error:  # a PanicException of the Rust side is no Exception
        raise UnfitError(file, f"{what} ({error_line(error)})") from None
