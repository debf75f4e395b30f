"""The explorer, against published ids and counts made by hand."""

from pathlib import Path

import pytest

from tests.harness.data.registry import registry
from tests.harness.errors import AssetError
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.tools import explore

STARCODER2 = [222, 610, 17966, 100, 5879, 45, 6427, 731, 353, 1489, 459, 8302, 411, 4944, 46, 222]
NUMBERS = {"starcoder2": "10 alone, 10 after", "phi3": "0 alone, 10 after"}


def tokenizer(key: str, bundle: dict[str, Path]) -> LoadedTokenizer:
    """The model's, from the bundle."""
    return LoadedTokenizer(registry()[key], "bundle", lambda: bundle)


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers_of_one_token(
    key: str, bundle: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    explore.print_vocabulary(tokenizer(key, bundle))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"  numbers 0 to 999: {NUMBERS[key]} 'Price is $'"


def test_words_of_one_token(bundle: dict[str, Path]) -> None:
    """Every word listed is one token indeed, and none is longer or rarer than the first."""
    loaded = tokenizer("phi3", bundle)
    words = explore.single_token_words(loaded)
    ids = explore.token_ids(loaded, list(words)[:500])
    assert ids == [[token_id] for token_id in list(words.values())[:500]]
    longest = explore.longest_words(words)[0].split("'")[1]
    assert len(longest) == max(map(len, words))
    rarest = int(explore.rarest_words(words)[0].split()[0])
    assert rarest == max(i for word, i in words.items() if len(word) >= explore.LETTERS)


def test_tokens_of_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert explore.main([explore.CODE, "--models", "starcoder2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    ids = [int(line.split()[0]) for line in lines[4 : lines.index("", 4)]]
    assert ids == STARCODER2
    # Counted by hand: 1 + 24 + 1 + 24 + 1 characters.
    assert lines[:3] == ["starcoder2", "16 tokens", "3.19 characters each"]


def test_samples_are_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert explore.main(["--models", "starcoder2,phi3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines].count(["starcoder2", "phi3"]) == 2
    assert "306 ' I'" in next(line for line in lines if "' I'" in line)


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(AssetError, match="no_such"):
        explore.main(["--file", "no_such.txt", "--models", "phi3"])
