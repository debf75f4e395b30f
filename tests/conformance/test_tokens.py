"""Text to ids and back: AutoTokenizer does what the model's tokenizer.json defines."""

from tests.harness.checks.tokenizer import check_ids, check_text
from tests.harness.data.cases import TextCase
from tests.harness.data.exceptions import expected_text
from tests.harness.errors import fail
from tests.harness.text import quote
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.pieces import lost_characters


def test_ids_match_tokenizer_json(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    ids, expected = tokenizer.ids(text), tokenizer.tokenizers.encode(text.full_text).ids
    check_ids(tokenizer, text.name, "AutoTokenizer's ids are not the file's", ids, expected)


def test_bos_matches_registry(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    expected, what = tokenizer.whole(tokenizer.plain_ids(text)), "no BOS in front"
    if tokenizer.spec.can("bos"):
        what = "one BOS in front"
    elif tokenizer.whole([]):
        what = "the declared ids around it"
    check_ids(tokenizer, text.name, f"{what} and nothing else added", tokenizer.ids(text), expected)


def test_offsets_rebuild_the_text(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    whole, rebuilt, done = text.full_text, "", 0
    spans = tokenizer.transformers(whole, return_offsets_mapping=True)["offset_mapping"]
    if not tokenizer.keeps_white_space:
        _check_spans(tokenizer, text, spans)
        return
    for start, end in spans:
        rebuilt += whole[max(start, done) : end]  # bytes of one character share its span
        done = max(done, end)
    expected = expected_text(tokenizer.spec, text, "offsets")
    check_text(tokenizer, text.name, "text rebuilt from offsets", rebuilt, expected)


def _check_characters(tokenizer: LoadedTokenizer, text: TextCase, what: str, got: str) -> None:
    """Of a tokenizer that does not keep white space: all else is what the normalizer makes."""
    expected = expected_text(tokenizer.spec, text, "decode")
    if got != expected and (lost := lost_characters(tokenizer, text.full_text, got)):
        cause = "the decoder loses or adds more than white space"
        tokens = tokenizer.tokenizers.encode(text.full_text, add_special_tokens=False).tokens
        if typed := [t for t in tokens if t.startswith("<0x") and t in text.full_text]:
            cause = f"the vocabulary reads {typed[0]!r}, which was typed, as that byte"
        fail(f"{tokenizer.key} {text.name}", f"{what}: {lost}", cause=cause)


def _check_spans(tokenizer: LoadedTokenizer, text: TextCase, spans: list[tuple[int, int]]) -> None:
    """In order, inside the text, and what is between them makes no token."""
    whole, raw, done = text.full_text, tokenizer.tokenizers, 0
    inside = spans[len(tokenizer.front) : len(spans) - len(tokenizer.behind)]
    for start, end in [*inside, (len(whole), len(whole))]:
        skipped = whole[done:start]
        joined = whole[max(0, done - 1) : start]  # of what is joined the span covers the first
        is_joined = raw.normalizer is not None and len(raw.normalizer.normalize_str(joined)) < 2
        tokens = raw.encode(skipped, add_special_tokens=False).tokens if skipped else []
        if start > end or not (is_joined or tokens in ([], ["\u2581"])):
            what = f"offsets: no token covers {quote(skipped)} before {start}"
            fail(f"{tokenizer.key} {text.name}", what, cause="the spans are not the tokens'")
        done = max(done, end)


def test_decoding_gives_the_text_back(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    got = tokenizer.transformers.decode(tokenizer.plain_ids(text))
    if not tokenizer.keeps_white_space:
        _check_characters(tokenizer, text, "decode(encode(text))", got)
        return
    expected = expected_text(tokenizer.spec, text, "decode")
    check_text(tokenizer, text.name, "decode(encode(text))", got, expected)


def test_streaming_gives_the_text_back(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    try:
        from tokenizers.decoders import DecodeStream
    except ImportError:
        fail(f"{tokenizer.key} {text.name}", "this version of tokenizers has no DecodeStream")
    stream = DecodeStream(skip_special_tokens=False)
    backend, ids = tokenizer.transformers.backend_tokenizer, tokenizer.plain_ids(text)
    steps = [stream.step(backend, token_id) or "" for token_id in ids]
    if not tokenizer.keeps_white_space:
        _check_characters(tokenizer, text, "text streamed id by id", "".join(steps))
        return
    expected = expected_text(tokenizer.spec, text, "decode")
    check_text(tokenizer, text.name, "text streamed id by id", "".join(steps), expected)
