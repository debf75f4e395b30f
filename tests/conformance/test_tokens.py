"""Text to ids: what a user's AutoTokenizer gives is what the model's own file says."""

from tests.harness.cases import TextCase
from tests.harness.diagnosis import check_ids, check_text, fail
from tests.harness.loading import Loaded


def test_ids_are_the_files(model: Loaded, text: TextCase) -> None:
    expected = model.raw.encode(text.full_text).ids
    check_ids(model, text.name, "AutoTokenizer's ids are not the file's", model.ids(text), expected)


def test_bos_is_as_declared(model: Loaded, text: TextCase) -> None:
    plain, bos = model.plain_ids(text), model.model.tokenizer.bos
    wanted, what = plain, "no BOS in front"
    if model.model.can("bos"):
        assert bos is not None
        wanted, what = [bos, *plain], "one BOS in front"
    check_ids(model, text.name, f"{what} and nothing else added", model.ids(text), wanted)


def test_offsets_rebuild_the_text(model: Loaded, text: TextCase) -> None:
    whole, rebuilt, done = text.full_text, "", 0
    for start, end in model.auto(whole, return_offsets_mapping=True)["offset_mapping"]:
        rebuilt += whole[max(start, done) : end]  # bytes of one character share its span
        done = max(done, end)
    expected = text.expected(model.key, "offsets")
    check_text(model, text.name, "text rebuilt from offsets", rebuilt, expected)


def test_decoding_gives_the_text_back(model: Loaded, text: TextCase) -> None:
    ids = model.plain_ids(text)
    expected = text.expected(model.key, "decode")
    check_text(model, text.name, "decode(encode(text))", model.auto.decode(ids), expected)


def test_streaming_gives_the_whole_text(model: Loaded, text: TextCase) -> None:
    try:
        from tokenizers.decoders import DecodeStream
    except ImportError:
        fail(f"{model.key} {text.name}: this version of tokenizers has no DecodeStream")
    ids = model.plain_ids(text)
    stream = DecodeStream(skip_special_tokens=False)
    steps = [stream.step(model.auto.backend_tokenizer, token_id) or "" for token_id in ids]
    expected = text.expected(model.key, "decode")
    check_text(model, text.name, "text streamed id by id", "".join(steps), expected)
