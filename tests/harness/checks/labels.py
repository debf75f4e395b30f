"""Checks of what training sees as the answer: where it begins in ids, and what keeps its label."""

from typing import Any

from ..data.cases import ChatCase
from ..data.exceptions import is_rewritten, merged_at
from ..diff import first_difference
from ..errors import fail
from ..prices.products import MARKER, TEXT_LIMIT, TRAINING_LIMIT, price_prompt
from ..tokenizer.chat import answers, apply_template, begins_with_prompt, render_ids
from ..tokenizer.loaded import LoadedTokenizer
from ..tokenizer.settings import plain
from .tokenizer import check_ids, check_text, check_value, must_work, needed_torch

IGNORED = -100  # the label that no loss is computed for
_PRICES = range(1, 1000)
COLLATORS = ("language_modeling", "language_modeling_with_mask", "seq2seq")
# A template that marks answers, and conversations whose marks begin and end at whole tokens.
_MARKING = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "{% endgeneration %}{% else %}{{ m.content + '\\n' }}{% endif %}{% endfor %}"
)
MARKED = {
    "answer_last": [("user", "Hi"), ("assistant", "Yo man")],
    "two_answers": [("user", "Hi"), ("assistant", "Yo man\n"), ("user", "a"), ("assistant", "b")],
    "answer_first": [("assistant", "A"), ("user", "user message")],
    "no_answer": [("user", "Hi")],
}
UNMARKED = "template_without_marks"
MARKED[UNMARKED] = MARKED["answer_last"]


def check_prompt_is_prefix(tokenizer: LoadedTokenizer, chat: ChatCase) -> None:
    """Fail unless the ids of each prompt begin the whole conversation's, or merge where declared.

    A prompt's text being a prefix hides it: its last token may be another with the answer behind.
    """
    whole, declared = render_ids(tokenizer, chat), merged_at(tokenizer.spec, chat)
    merged = []
    for turn in answers(chat.messages):
        if is_rewritten(tokenizer.spec, chat) and not begins_with_prompt(tokenizer, chat, turn):
            continue
        prompt = render_ids(tokenizer, chat, before=turn)
        position = first_difference(whole[: len(prompt)], prompt)
        if position is not None and position != declared:
            what = f"prompt ids before turn {turn} do not begin the conversation's"
            cause = "the answer's first characters merge with the prompt's last token"
            check_ids(tokenizer, chat.name, what, whole[: len(prompt)], prompt, cause)
        merged.append(position)
    if declared is not None and declared not in merged:
        fail(
            f"{tokenizer.key} {chat.name}",
            f"merged at {declared} is declared, but every prompt's ids begin the conversation's",
            cause="fixtures/conversations says otherwise, or the tokenizer merges no longer",
        )


def check_price_is_behind_prompt(tokenizer: LoadedTokenizer) -> None:
    """Fail unless the ids of a text up to the marker begin those of the text with any price."""
    prompt = tokenizer.transformers.encode(f"Kettle\n\n{MARKER}")
    prompt = prompt[: len(prompt) - len(tokenizer.behind)]
    texts = [f"Kettle\n\n{MARKER}{price}.00" for price in _PRICES]
    for price, ids in zip(_PRICES, tokenizer.transformers(texts)["input_ids"], strict=True):
        what = "prompt ids do not begin those of the text with its price"
        check_ids(tokenizer, f"price {price}", what, ids[: len(prompt)], prompt)


def check_default_chat_call(tokenizer: LoadedTokenizer) -> None:
    """Fail unless `apply_chat_template`, called with its defaults, gives a mapping with ids."""
    got = apply_template(tokenizer, [{"role": "user", "content": "Hi"}])
    ids = got["input_ids"] if hasattr(got, "keys") else None
    if ids is None or not all(isinstance(each, int) for each in ids):
        fail(
            tokenizer.key,
            f"apply_chat_template with its defaults gave {type(got).__name__}, "
            "expected a mapping with one list of ids",
            cause="a default of tokenize, return_dict or return_tensors moved: whoever counts "
            "len() of it masks another number of labels",
        )


def _collator(name: str, auto: Any) -> Any:
    needed_torch()
    from transformers import DataCollatorForLanguageModeling, DataCollatorForSeq2Seq

    if name == "seq2seq":
        return DataCollatorForSeq2Seq(auto)
    return DataCollatorForLanguageModeling(auto, mlm=False)


def check_collator(tokenizer: LoadedTokenizer, name: str, of_eos: bool) -> None:
    """Fail unless real ids are their own labels and pads have none; pad is eos, as the task has it.

    `of_eos` judges the real EOS alone, else all the others: one must not hide the other.
    """
    eos = tokenizer.spec.tokenizer.eos
    rows = [[*tokenizer.front, *plain(tokenizer, text), eos] for text in ("Price is $374", "hello")]
    features: list[dict[str, Any]] = [{"input_ids": row} for row in rows]
    for feature, row in zip(features, rows, strict=True):
        if name == "language_modeling_with_mask":
            feature["attention_mask"] = [1] * len(row)
        if name == "seq2seq":
            feature["labels"] = row
    with (
        tokenizer.changed(pad_token=tokenizer.transformers.eos_token, padding_side="right"),
        must_work(tokenizer, name, "collating two texts"),
    ):
        batch = _collator(name, tokenizer.transformers)(features)
    for which, row, got in zip(("price", "word"), rows, batch["labels"].tolist(), strict=True):
        what, end = f"{name}: label of the {which}'s", len(row) - 1
        if of_eos:
            cause = "every id that is pad's is ignored, and pad is eos: no end is ever learned"
            check_value(tokenizer, f"{what} eos", got[end], eos, cause)
            continue
        right = [*row[:end], *[IGNORED] * (len(got) - len(row))]
        have = [*got[:end], *got[end + 1 :]]
        check_value(tokenizer, f"{what} ids and pads", have, right, "the collator ignores others")


def check_assistant_mask(tokenizer: LoadedTokenizer, name: str) -> None:
    """Fail unless the tokens under ones are the answers, where the template marks them.

    A template that marks none must be refused: zeros train nothing, silently.
    """
    messages = MARKED[name]
    turns = [{"role": role, "content": said} for role, said in messages]
    given = {"return_dict": True, "return_assistant_tokens_mask": True, "tokenize": True}
    if name == UNMARKED:
        _check_refused(tokenizer, turns, given)
        return
    with must_work(tokenizer, name, "return_assistant_tokens_mask=True"):
        got = apply_template(tokenizer, turns, chat_template=_MARKING, **given)
    text = "".join(said if role == "assistant" else f"{said}\n" for role, said in messages)
    spans = tokenizer.transformers(text, add_special_tokens=False, return_offsets_mapping=True)
    check_ids(tokenizer, name, "ids beside assistant_masks", got["input_ids"], spans["input_ids"])
    marked = zip(spans["offset_mapping"], got["assistant_masks"], strict=True)
    under, done = "", 0
    for (start, end), mask in marked:  # tokens of one character share its span
        under += text[max(start, done) : end] if mask else ""
        done = max(done, end)
    right = "".join(said for role, said in messages if role == "assistant")
    check_text(tokenizer, name, "text under assistant_masks", under, right)


def _check_refused(
    tokenizer: LoadedTokenizer, turns: list[dict[str, str]], given: dict[str, Any]
) -> None:
    try:
        got = apply_template(tokenizer, turns, **given)
    except Exception:  # which one is the library's choice
        return
    mask = got.get("assistant_masks") or []
    fail(
        tokenizer.key,
        f"assistant_masks of a template without {{% generation %}}: got {sum(mask)} ones of "
        f"{len(mask)}, expected an error",
        cause="transformers warns and goes on: who trains on answers alone trains on nothing",
    )


def check_training_cut(tokenizer: LoadedTokenizer, beyond: int) -> None:
    """Fail unless a text of the budget and `beyond` tokens more loses what is declared, no more.

    Text and eos are cut as training cuts them: BOS, price and EOS stay up to one token beyond.
    """
    frame = f"{price_prompt('{}')}374"
    room = TEXT_LIMIT + beyond - len(plain(tokenizer, frame.format("A lamp")))
    text = frame.format("A lamp" + " light" * room)
    ids, eos = plain(tokenizer, text), tokenizer.transformers.eos_token
    cut = {"truncation": True, "max_length": TRAINING_LIMIT}
    got = tokenizer.transformers(f"{text}{eos}", **cut)["input_ids"]
    last = tokenizer.spec.tokenizer.eos
    assert last is not None
    whole = [*tokenizer.front, *ids, last]
    what = f"text of {TEXT_LIMIT + beyond} tokens and eos, cut at {TRAINING_LIMIT}"
    check_ids(tokenizer, "training cut", what, got, whole[:TRAINING_LIMIT])
    price = plain(tokenizer, "374")[0]
    kept = {"price": price in got[-2:], "eos": got[-1] == last}
    right = {"price": beyond <= 2, "eos": beyond <= 1}
    check_value(tokenizer, f"{what}: what is kept", kept, right)
