"""What the vocabulary section encodes: the topics under `fixtures/vocabulary`."""

import unicodedata
from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from tests.harness.cases import read_topic
from tests.harness.fields import Slug
from tests.harness.models import FIXTURES, STRICT

FOLDER = FIXTURES / "vocabulary"
MOST = 9999  # the largest number of a range: all of them are encoded

Title = Annotated[str, Field(min_length=1)]
Number = Annotated[int, Field(ge=0, le=MOST)]


def composed(text: str) -> str:
    """The text, which must be in NFC: some tokenizers normalise, and characters are counted."""
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("must be in Unicode's normal form NFC")
    return text


@dataclass(frozen=True, config=STRICT)
class Sample:
    """A text and what it is shown for: a `cut` token by token, the others by their counts."""

    id: Slug
    title: Title
    kind: Literal["cut", "language", "code", "prompt"]
    text: Annotated[str, Field(min_length=1), AfterValidator(composed)]
    topic: str = ""


@dataclass(frozen=True, config=STRICT)
class NumberRange:
    """Whole numbers, both ends included."""

    id: Slug
    title: Title
    first: Number
    last: Number
    topic: str = ""

    def __post_init__(self) -> None:
        """Refuse a range without numbers."""
        if self.first > self.last:
            raise ValueError("first must not be above last")


@cache
def samples() -> list[Sample]:
    """All samples in the file's order; DataError names file, sample and key."""
    return read_topic(FOLDER / "samples.json", Sample)


@cache
def number_ranges() -> list[NumberRange]:
    """All ranges in the file's order; DataError names file, range and key."""
    return read_topic(FOLDER / "numbers.json", NumberRange)
