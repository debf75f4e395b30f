"""Text to ids and back: AutoTokenizer does what the model's tokenizer.json defines."""

from tests.harness.checks.tokenizer import check_ids, check_text
from tests.harness.data.cases import TextCase
from tests.harness.data.exceptions import expected_text
from tests.harness.errors import fail
from tests.harness.tokenizer.loaded import LoadedTokenizer


def test_ids_match_tokenizer_json(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    ids, expected = tokenizer.ids(text), tokenizer.tokenizers.encode(text.full_text).ids
    check_ids(tokenizer, text.name, "AutoTokenizer's ids are not the file's", ids, expected)


def test_bos_matches_registry(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    plain, bos = tokenizer.plain_ids(text), tokenizer.spec.tokenizer.bos
    expected, what = plain, "no BOS in front"
    if tokenizer.spec.can("bos"):
        assert bos is not None
        expected, what = [bos, *plain], "one BOS in front"
    check_ids(tokenizer, text.name, f"{what} and nothing else added", tokenizer.ids(text), expected)


def test_offsets_rebuild_the_text(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    whole, rebuilt, done = text.full_text, "", 0
    for start, end in tokenizer.transformers(whole, return_offsets_mapping=True)["offset_mapping"]:
        rebuilt += whole[max(start, done) : end]  # bytes of one character share its span
        done = max(done, end)
    expected = expected_text(tokenizer.spec, text, "offsets")
    check_text(tokenizer, text.name, "text rebuilt from offsets", rebuilt, expected)


def test_decoding_gives_the_text_back(tokenizer: LoadedTokenizer, text: TextCase) -> None:
    got = tokenizer.transformers.decode(tokenizer.plain_ids(text))
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
    expected = expected_text(tokenizer.spec, text, "decode")
    check_text(tokenizer, text.name, "text streamed id by id", "".join(steps), expected)
