"""The page's vocabulary section: its figures are the tokenizers', and its texts stay texts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from tests.harness.cases import published, read_topic, texts
from tests.harness.html.pages import readable
from tests.harness.loading import Loaded
from tests.harness.models import DataError, registry
from tests.harness.reports import vocabulary as section
from tests.harness.reports.samples import NumberRange, Sample, number_ranges, samples
from tests.harness.reports.vocabulary import answer_of, legible, runs, vocabulary, whole_words
from tests.meta.references import llama3_1, qwen2, starcoder2
from tests.meta.test_drift_page import HOSTILE, read

FRAGMENT = Path(section.__file__).with_name("vocabulary.html.jinja")


@pytest.fixture(scope="module")
def models(bundle: dict[str, Path]) -> dict[str, Loaded]:
    """All models, loaded."""
    every = {key: Loaded(model, "bundle", lambda: bundle) for key, model in registry().items()}
    assert all(loaded.auto and loaded.raw for loaded in every.values())
    return every


@pytest.fixture(scope="module")
def answers(models: dict[str, Loaded]) -> dict[str, dict[str, Any]]:
    """What the section says of each model."""
    found = vocabulary(models)["tokenizers"]
    assert json.loads(json.dumps(found)) == found
    return {key: answer for answer in found for key in answer["models"]}


def fragment(data: dict[str, Any]) -> str:
    """The section as HTML."""
    jinja = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    jinja.filters["readable"] = readable
    return jinja.from_string(FRAGMENT.read_text("utf-8")).render(data={"vocabulary": data})


@pytest.mark.parametrize("output", [it for it in published() if it.ids], ids=lambda it: it.id)
def test_cuts_are_the_published_ones(models: dict[str, Loaded], output: Any) -> None:
    sample = Sample("one", "One", "cut", texts()[output.case].full_text)
    answer = answer_of(models[output.model], [sample], [])
    bos = registry()[output.model].tokenizer.bos
    expected = list(output.ids)[1 if output.ids[0] == bos else 0 :]
    assert [it["id"] for it in answer["cuts"]["one"]] == expected
    assert answer["tokens"] == {"one": len(expected)}


def test_pieces_are_as_cut_by_hand(answers: dict[str, dict[str, Any]]) -> None:
    pieces = {
        key: "|".join(it["text"] for it in answer["cuts"]["price_spellings"])
        for key, answer in answers.items()
    }
    assert pieces["llama3_1"] == r"$|7| $|42| $|19|.|99| $|1|,|800| £|250|0| |202|6"
    assert pieces["qwen2"] == r"$|7| $|4|2| $|1|9|.|9|9| $|1|,|8|0|0| £|2|5|0|0| |2|0|2|6"


@pytest.mark.parametrize(
    ("key", "reference"),
    [("llama3_1", llama3_1), ("qwen2", qwen2), ("starcoder2", starcoder2)],
)
def test_counts_are_those_of_independent_tokenizers(
    answers: dict[str, dict[str, Any]], bundle: dict[str, Path], key: str, reference: Any
) -> None:
    encode: Callable[[str], list[int]] = reference(bundle[key], lambda: bundle[key])
    assert answers[key]["tokens"] == {it.id: len(encode(it.text)) for it in samples()}


def test_longest_words_by_hand(answers: dict[str, dict[str, Any]]) -> None:
    first = {key: answer["longest"][:3] for key, answer in answers.items()}
    assert first["llama3_1"] == [
        {"text": "telecommunications", "id": 62866},
        {"text": "disproportionately", "id": 73152},
        {"text": "interdisciplinary", "id": 88419},
    ]
    lower = {"text": "responsibilities", "id": 28423}  # the one with a capital is 74112
    assert lower in answers["llama3_1"]["longest"]
    assert first["phi3"] == [
        {"text": "Einzelnachweise", "id": 6675},
        {"text": "implementations", "id": 20240},
        {"text": "straightforward", "id": 20837},
    ]


def test_rarest_words_by_hand(answers: dict[str, dict[str, Any]]) -> None:
    assert [(it["text"], it["id"]) for it in answers["phi3"]["rarest"][:3]] == [
        ("livres", 29869),
        ("compagnie", 29868),
        ("tends", 29867),
    ]
    assert min(len(it["text"]) for answer in answers.values() for it in answer["rarest"]) == 4


@pytest.mark.parametrize("key", registry())
def test_words_are_one_token_each(
    models: dict[str, Loaded], answers: dict[str, dict[str, Any]], key: str
) -> None:
    space = " " if models[key].byte_level else ""  # SentencePiece puts one in front itself
    for it in answers[key]["longest"] + answers[key]["rarest"]:
        ids = models[key].raw.encode(space + it["text"], add_special_tokens=False).ids
        assert (ids, it["text"].isalpha()) == ([it["id"]], True), it


@pytest.mark.parametrize("key", registry())
def test_no_longer_word_is_left_out(
    models: dict[str, Loaded], answers: dict[str, dict[str, Any]], key: str
) -> None:
    """Every token that the file decodes to a space and small letters is among the words."""
    raw, words = models[key].raw, whole_words(models[key])
    known = {word.lower() for word in words}
    for token, token_id in models[key].file.vocabulary.items():
        text = raw.decode([0, token_id]).removeprefix(raw.decode([0]))
        if text.startswith(" ") and text[1:].isalpha() and text[1:].islower():
            assert text[1:] in known, token
    shown = [len(it["text"]) for it in answers[key]["longest"]]
    assert shown == sorted(map(len, words), reverse=True)[: len(shown)]


def test_single_token_numbers_are_the_registrys(answers: dict[str, dict[str, Any]]) -> None:
    for key, answer in answers.items():
        below = [it for it in answer["numbers"] if not it["title"].startswith("Years")]
        assert sum(it["of"] for it in below) == 1000
        counted = tuple(sum(it[place]["count"] for it in below) for place in ("alone", "after"))
        assert counted == registry()[key].single_token_numbers, key
    years = answers["llama3_1"]["numbers"][-1]
    assert years == {
        **{"title": "Years 1900 to 2099", "of": 200},
        **{"alone": {"count": 0, "runs": []}, "after": {"count": 0, "runs": []}},
    }


def test_runs_by_hand() -> None:
    assert runs([0, 1, 2, 7, 9, 10]) == {"count": 6, "runs": [[0, 2], [7, 7], [9, 10]]}


def test_models_that_answer_alike_stand_together(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["llama3_1"] is answers["llama3_1_instruct"]
    assert answers["qwen2"]["models"] == ["qwen2"]


def test_nothing_is_loaded_for_the_section() -> None:
    def folders() -> dict[str, Path]:
        raise AssertionError("a folder was asked for")

    cold = {key: Loaded(model, "bundle", folders) for key, model in registry().items()}
    data = vocabulary(cold)
    assert data["tokenizers"] == []
    assert "loaded no tokenizer" in fragment(data)


def test_page_says_what_was_counted(models: dict[str, Loaded]) -> None:
    html = fragment(vocabulary({"llama3_1": models["llama3_1"]}))
    text = " ".join(read(html.replace("<", " <")).text.split())
    assert "A sentence llama3_1 : 16 tokens The 791 ␣tokenizer 47058" in text
    assert "English 160 33 0.206 1.00×" in text
    assert "German 153 42 0.275 1.27×" in text
    assert "telecommunications 62866 , disproportionately 73152" in text
    assert "0 to 9 all 10 10 to 99 all 90 100 to 999 all 900 Years 1900 to 2099 none" in text


def test_hostile_text_stays_text() -> None:
    def data(text: str) -> dict[str, Any]:
        count = {"count": 4, "runs": [[1, 1], [3, 5]]}
        every = {"count": 9, "runs": [[1, 9]]}
        answer = {
            **{"models": [text], "size": 3, "tokens": {"a": 1, "b": 2}},
            **{"cuts": {"a": [{"text": text, "id": 1}]}},
            **{"longest": [{"text": "word", "id": 1}], "rarest": []},
            **{"numbers": [{"title": text, "of": 9, "alone": count, "after": every}]},
        }
        rows = [
            {"id": name, "kind": kind, "title": text, "text": legible(text), "characters": 2}
            for name, kind in (("a", "cut"), ("b", "language"))
        ]
        return {"samples": rows, "prefix": text, "tokenizers": [answer]}

    hostile, plain = read(fragment(data(HOSTILE))), read(fragment(data("plain")))
    assert hostile.tags == plain.tags
    names = {name for name, _ in hostile.attributes}
    assert names == {name for name, _ in plain.attributes} and "style" not in names
    assert "alert(1)" in hostile.text
    assert "alone: 4 of 9: 1, 3–5; after it: all 9" in hostile.text
    assert {"\x1b", "\x00", "\u202e"} & set(hostile.text) == set()


def test_samples_are_of_a_dozen_languages_and_some_code() -> None:
    kinds = [it.kind for it in samples()]
    assert kinds.count("language") >= 12 and kinds.count("code") >= 4
    assert {"cut", "prompt"} <= set(kinds) and len(number_ranges()) >= 4
    every = [it.text for it in samples()]
    assert len(set(every)) == len(every)


SAMPLE: dict[str, Any] = {"id": "one", "title": "One", "kind": "cut", "text": "a"}
BAD_SAMPLES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown_kind": ({"kind": "cuts"}, "kind: "),
    "no_text": ({"text": ""}, "text: "),
    "not_composed": ({"text": "e\u0301"}, "text: must be in Unicode's normal form"),
    "unknown_key": ({"language": "de"}, "language: unknown key"),
    "no_title": ({"title": ""}, "title: "),
}
BAD_RANGES: dict[str, tuple[dict[str, Any], str]] = {
    "negative": ({"first": -1}, "first: "),
    "too_many": ({"last": 10_000}, "last: "),
    "no_number": ({"last": "9"}, "last: "),
    "backwards": ({"first": 10}, "first must not be above last"),
}


@pytest.mark.parametrize("name", [*BAD_SAMPLES, *BAD_RANGES])
def test_bad_data_is_refused(tmp_path: Path, name: str) -> None:
    change, said = {**BAD_SAMPLES, **BAD_RANGES}[name]
    numbers = {"id": "one", "title": "One", "first": 0, "last": 9}
    kind: Any = Sample if name in BAD_SAMPLES else NumberRange
    good: dict[str, Any] = SAMPLE if name in BAD_SAMPLES else numbers
    path = tmp_path / "vocabulary" / "words.json"
    path.parent.mkdir()
    content = {"topic": "words", "about": "Bad.", "cases": [{**good, **change}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_topic(path, kind)
    assert str(caught.value).startswith(f"vocabulary/words.json: [one] {said}")
    assert "\n" not in str(caught.value)
