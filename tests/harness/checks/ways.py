"""Checks of the ways into ids and back to text, beside `encode` and `decode` of one text."""

from typing import Any

from ..data.calls import Call
from ..data.cases import TextCase, texts
from ..data.exceptions import expected_value
from ..data.recipes import read_recipe
from ..tokenizer.calls import ALONE, CALLS, in_form, rows_in_form
from ..tokenizer.composed import pair, pair_sequences, pieces, windows
from ..tokenizer.loaded import LoadedTokenizer
from ..tokenizer.settings import plain, read_back
from .tokenizer import check_ids, check_text, check_value, must_work, needed_torch

SENTENCE, PRICE = "plain.task_sentence", "Price is $374"
WORDS = {
    "price": ["Price", "is", "$374"],
    "sentence": ["I", "am", "excited", "to", "show", "Tokenizers", "in", "action"],
    "scripts": ["naïve", "Zürich", "価格", "x=1;", "-"],
}
_CUTS = ((6, 2), (6, 0), (9, 7), (64, 5))  # length and stride
_CAUSE = "files and pipeline are the pinned ones: this call of the library behaves differently"
TENSORS: dict[str, str | list[str]] = {
    "one_text": PRICE,
    "row_of_one": [PRICE],
    "empty_text": "",
    "two_empty_texts": ["", ""],
    "padded_rows": ["hello", PRICE],
}


def check_call(tokenizer: LoadedTokenizer, call: Call) -> None:
    """Fail unless a call gives what `fixtures/calls.json` says, ids compared one by one."""
    expected, what = expected_value(tokenizer.spec, call), f"{call.call} of {call.given}"
    with must_work(tokenizer, call.id, what):
        got = CALLS[call.call](tokenizer.transformers, **call.given)
    if call.call in ("pair", "words"):
        check_ids(tokenizer, call.id, what, got, expected, _CAUSE)
    check_value(tokenizer, f"{call.id}: {what}", got, expected, _CAUSE)


def check_pairs(tokenizer: LoadedTokenizer) -> None:
    """Fail unless each text and the next, in one call, are both with their own BOS."""
    cases = list(texts().values())
    others = [*cases[1:], cases[0]]
    with must_work(tokenizer, "all texts", "a batch of pairs"):
        batch = tokenizer.transformers(
            [case.full_text for case in cases], [case.full_text for case in others]
        )
    for row, (case, other) in enumerate(zip(cases, others, strict=True)):
        both = tokenizer.plain_ids(case), tokenizer.plain_ids(other)
        name = f"{case.name} and {other.name}"
        check_ids(tokenizer, name, "pair", batch["input_ids"][row], pair(tokenizer, *both), _CAUSE)
        got, right = batch.sequence_ids(row), pair_sequences(tokenizer, *both)
        check_value(tokenizer, f"{name}: sequence_ids", got, right, _CAUSE)


def check_words(tokenizer: LoadedTokenizer, name: str) -> None:
    """Fail unless words in a list are each encoded as a text, and `word_ids` counts them."""
    words, what = WORDS[name], "is_split_into_words=True"
    ids = [plain(tokenizer, word) for word in words]
    expected = tokenizer.whole([each for row in ids for each in row])
    numbers = [number for number, row in enumerate(ids) for _ in row]
    with must_work(tokenizer, name, what):
        encoded = tokenizer.transformers(words, is_split_into_words=True)
        batch = tokenizer.transformers([words[:1], words], is_split_into_words=True)
    check_ids(tokenizer, f"words {name}", what, encoded["input_ids"], expected, _CAUSE)
    got = encoded.word_ids()
    right = [*[None] * len(tokenizer.front), *numbers, *[None] * len(tokenizer.behind)]
    check_value(tokenizer, f"words {name}: word_ids", got, right, _CAUSE)
    check_ids(tokenizer, f"words {name}", f"{what}, in a batch", batch["input_ids"][1], expected)


def _cut_texts() -> list[TextCase]:
    return [texts()[name] for name in (SENTENCE, "long.long_camel_case_identifier")]


def check_windows(tokenizer: LoadedTokenizer, side: str) -> None:
    """Fail unless the windows of overflowing texts cover them, with their overlap and owner."""
    cases = _cut_texts()
    more = max(0, len(tokenizer.whole([])) - 1)  # than BOS, for which the lengths are made
    for room, stride in _CUTS:
        length = room + more
        cut = {"truncation": True, "max_length": length, "stride": stride}
        what = f"windows of {length} that share {stride}, from the {side}"
        with tokenizer.changed(truncation_side=side), must_work(tokenizer, "two texts", what):
            got = tokenizer.transformers(
                [case.full_text for case in cases], return_overflowing_tokens=True, **cut
            )
        rows, owners = got["input_ids"], got["overflow_to_sample_mapping"]
        for number, case in enumerate(cases):
            own = [row for row, owner in zip(rows, owners, strict=True) if owner == number]
            right = windows(tokenizer, tokenizer.plain_ids(case), length, stride, side)
            for index, row in enumerate(right):
                have = own[index] if index < len(own) else []
                check_ids(tokenizer, case.name, f"{what}: window {index}", have, row, _CAUSE)
            name = f"{case.name}: {what}: number of windows"
            check_value(tokenizer, name, len(own), len(right), _CAUSE)


def check_tensors(tokenizer: LoadedTokenizer, given: str, framework: str) -> None:
    """Fail unless a tensor has a row a text, integers, and the ids that lists have."""
    texts_in = TENSORS[given]
    rows = [texts_in] if isinstance(texts_in, str) else texts_in
    ids = [tokenizer.whole(plain(tokenizer, text)) for text in rows]
    widest, pad = max(map(len, ids)), tokenizer.spec.tokenizer.eos
    padded = [[*row, *[pad] * (widest - len(row))] for row in ids]
    masks = [[1] * len(row) + [0] * (widest - len(row)) for row in ids]
    what = f"return_tensors={framework!r} of {given}"
    if framework == "pt":
        needed_torch()
    eos = tokenizer.transformers.eos_token
    with tokenizer.changed(pad_token=eos, padding_side="right"), must_work(tokenizer, given, what):
        options = {"padding": True} if given == "padded_rows" else {}
        got = tokenizer.transformers(texts_in, return_tensors=framework, **options)
    for name, right in (("input_ids", padded), ("attention_mask", masks)):
        tensor, place = got[name], f"{what}: {name}"
        kind = "torch.int64" if framework == "pt" else "int64"
        check_value(tokenizer, f"{place}: dtype", str(tensor.dtype), kind, _CAUSE)
        check_value(tokenizer, f"{place}: shape", list(tensor.shape), [len(rows), widest], _CAUSE)
        check_value(tokenizer, place, tensor.tolist(), right, _CAUSE)


def check_empty_batch(tokenizer: LoadedTokenizer, framework: str) -> None:
    """Fail if a batch without texts gives a row; it may be refused, as an empty list is today."""
    if framework == "pt":
        needed_torch()
    given = {} if framework == "list" else {"return_tensors": framework}
    try:
        got = tokenizer.transformers([], **given)
    except (IndexError, ValueError):
        return
    rows = {name: len(value) for name, value in got.items()}
    what = f"rows of an empty batch as {framework}"
    check_value(tokenizer, what, rows, dict.fromkeys(rows, 0), _CAUSE)


def check_decode(tokenizer: LoadedTokenizer, form: str) -> None:
    """Fail unless ids of a type, one or several, decode to the same text."""
    ids = plain(tokenizer, PRICE)
    expected = pieces(tokenizer, ids[:1])[0] if form in ALONE else read_back(tokenizer, PRICE)
    if "torch" in form:
        needed_torch()
    with must_work(tokenizer, form, f"decode of {form}"):
        got = tokenizer.transformers.decode(in_form(form, ids))
    check_value(tokenizer, f"decode of {form}", got, expected, _CAUSE)


def check_batch_decode(tokenizer: LoadedTokenizer, form: str) -> None:
    """Fail unless every row of ids gives a text; ids in a flat list are rows of one."""
    ids, text = plain(tokenizer, PRICE), read_back(tokenizer, PRICE)
    each = pieces(tokenizer, ids)
    right = {"ragged": [text, each[0], ""], "none": []}.get(form, each)
    if form in ("numpy", "torch"):
        right = [text, text]
    if "torch" in form:
        needed_torch()
    with must_work(tokenizer, form, f"batch_decode of {form}"):
        got = tokenizer.transformers.batch_decode(rows_in_form(form, ids))
    check_value(tokenizer, f"batch_decode of {form}", got, right, _CAUSE)


def check_converting(tokenizer: LoadedTokenizer) -> None:
    """Fail unless tokens and ids are the file's pairs, alone and in lists, and make a text."""
    auto, vocabulary = tokenizer.transformers, tokenizer.json_file.vocabulary
    price = plain(tokenizer, PRICE)
    added = [token["content"] for token in read_recipe(tokenizer.key).tokens()]
    tokens = [*list(vocabulary)[::503], *added]
    ids = [vocabulary.get(token) for token in tokens]
    rows: list[tuple[str, Any, Any]] = [
        ("convert_tokens_to_ids", auto.convert_tokens_to_ids(tokens), ids),
        ("convert_ids_to_tokens", auto.convert_ids_to_tokens(ids), tokens),
        ("convert_tokens_to_ids of one", auto.convert_tokens_to_ids(tokens[-1]), ids[-1]),
        ("convert_ids_to_tokens of one", auto.convert_ids_to_tokens(ids[-1]), tokens[-1]),
        ("tokenize", auto.tokenize(PRICE), [*map(tokenizer.tokenizers.id_to_token, price)]),
    ]
    for what, got, right in rows:
        check_value(tokenizer, what, got, right, _CAUSE)
    unknown = auto.convert_tokens_to_ids("(no token has this name)")
    check_value(tokenizer, "id of an unknown token", unknown, tokenizer.spec.tokenizer.unk, _CAUSE)
    text = auto.convert_tokens_to_string(auto.tokenize(PRICE))
    check_text(
        tokenizer, repr(PRICE), "convert_tokens_to_string", text, read_back(tokenizer, PRICE)
    )


def check_positions(tokenizer: LoadedTokenizer, pair: bool) -> None:
    """Fail unless character, word and token positions say the same as the offsets."""
    text = texts()[SENTENCE].full_text
    given = ("hello", text) if pair else (text,)
    encoded = tokenizer.transformers(*given, return_offsets_mapping=True)
    sequence, spans = len(given) - 1, encoded["offset_mapping"]
    own = [i for i, number in enumerate(encoded.sequence_ids()) if number == sequence]
    words = encoded.word_ids()
    for position, character in enumerate(text):
        right = next((i for i in own if spans[i][0] <= position < spans[i][1]), None)
        got = encoded.char_to_token(position, sequence_index=sequence)
        name = f"token of character {position} {character!r}"
        check_value(tokenizer, name, got, right, _CAUSE)
        if got is not None:
            word = encoded.char_to_word(position, sequence_index=sequence)
            check_value(tokenizer, f"word of character {position}", word, words[got], _CAUSE)
    for token in own:
        same = [each for each in own if words[each] == words[token]]
        range_ = [same[0], same[-1] + 1]
        tokens_of_word = encoded.word_to_tokens(words[token], sequence_index=sequence)
        facts: list[tuple[str, Any, Any]] = [
            ("characters", list(encoded.token_to_chars(token)), list(spans[token])),
            ("sequence", encoded.token_to_sequence(token), sequence),
            ("word", encoded.token_to_word(token), words[token]),
            ("tokens of the word", list(tokens_of_word), range_),
        ]
        for name, got, right in facts:
            check_value(tokenizer, f"{name} of token {token}", got, right, _CAUSE)


def check_skipping(tokenizer: LoadedTokenizer) -> None:
    """Fail unless decoding hides special tokens if asked to, shows them if not, and no others."""
    price = plain(tokenizer, PRICE)
    for token in read_recipe(tokenizer.key).tokens():
        for skip in (True, False):
            given, what = {"skip_special_tokens": skip}, f"skip_special_tokens={skip}"
            got = tokenizer.transformers.decode([token["id"]], **given)
            right = "" if skip and token["special"] else token["content"]
            check_value(tokenizer, f"{what} of {token['content']}", got, right, _CAUSE)
    eos, right_text = tokenizer.spec.tokenizer.eos, read_back(tokenizer, PRICE)
    for name, ids in (("behind", [*price, eos]), ("in front", [eos, *price])):
        rows = tokenizer.transformers.batch_decode([ids, price], skip_special_tokens=True)
        what = f"eos {name}, skip_special_tokens=True in a batch"
        check_value(tokenizer, what, rows, [right_text, right_text], _CAUSE)


def check_special_tokens_mask(tokenizer: LoadedTokenizer) -> None:
    """Fail unless the mask is 1 for what was added in front, 0 for the text."""
    got = tokenizer.transformers(PRICE, return_special_tokens_mask=True)["special_tokens_mask"]
    text = [0] * len(plain(tokenizer, PRICE))
    right = [*[1] * len(tokenizer.front), *text, *[1] * len(tokenizer.behind)]
    check_value(tokenizer, "special_tokens_mask", got, right, _CAUSE)
    for pair_ in (False, True):
        number = tokenizer.transformers.num_special_tokens_to_add(pair=pair_)
        around = len(tokenizer.front) + len(tokenizer.behind)
        right_number = around + (len(tokenizer.between) if pair_ else 0)
        check_value(tokenizer, f"special tokens of pair={pair_}", number, right_number, _CAUSE)
