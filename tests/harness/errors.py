"""What users of the harness see: bad data, missing files, a failed load, a broken contract."""

from collections.abc import Sequence
from typing import NoReturn

import pytest

from .diff import Evidence


class DataError(ValueError):
    """A data file is wrong; the message is one line: file, table and key, what is allowed."""


class AssetError(RuntimeError):
    """A model's files cannot be had; the message is one sentence that ends with the fix."""


class LoadError(RuntimeError):
    """A model cannot be loaded; the message is one line."""


class CheckFailed(pytest.fail.Exception):  # type: ignore[misc, name-defined]
    """A failing check, as fields; every report writes the same message from them.

    `subject` is model and case, `what` the first difference, `cause` one clause, `details` lines
    below, `next_step` the command to type (empty: run this test again, with `rerun_options`).
    """

    def __init__(
        self,
        subject: str,
        what: str,
        details: Sequence[str] = (),
        cause: str = "",
        evidence: Evidence | None = None,
        next_step: str = "",
        rerun_options: str = "",
    ) -> None:
        """Keep the fields; pytest takes the message from them."""
        self.subject, self.what, self.cause = subject, what, cause
        self.details, self.evidence = tuple(details), evidence
        self.next_step, self.rerun_options = next_step, rerun_options
        super().__init__("\n".join(self.lines), pytrace=False)

    @property
    def first_line(self) -> str:
        """Model, case, first difference and likely cause: enough to be read alone."""
        cause = f"; likely cause: {self.cause}" if self.cause else ""
        return f"{self.subject}: {self.what}{cause}"

    @property
    def lines(self) -> list[str]:
        """The whole message; its last line is what to type next, once that is known."""
        return [self.first_line, *self.details, *filter(None, [self.next_step])]

    def suggest(self, command: str) -> None:
        """Set the command to type next, below all details."""
        self.next_step = command
        self.msg = "\n".join(self.lines)


class ContractBroken(CheckFailed):
    """A contract or a snapshot does not hold. Only this can be a known failure."""


class EvidenceMissing(CheckFailed):
    """Nothing could be judged: no known failure excuses that."""


def fail(
    subject: str,
    what: str,
    *details: str,
    cause: str = "",
    evidence: Evidence | None = None,
    next_step: str = "",
    rerun_options: str = "",
) -> NoReturn:
    """Judge the running test broken; see `CheckFailed` for the fields.

    What the library raised is not chained: it would come before the first line.
    """
    failed = ContractBroken(subject, what, details, cause, evidence, next_step, rerun_options)
    raise failed from None


def fail_unjudged(subject: str, what: str, next_step: str = "") -> NoReturn:
    """Fail the running test for want of evidence."""
    raise EvidenceMissing(subject, what, next_step=next_step)
