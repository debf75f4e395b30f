"""What users of the harness see: missing files, and a broken contract."""

import pytest

from .evidence import Evidence


class AssetError(RuntimeError):
    """A model's files cannot be had; the message is one sentence with the mend."""


class Broken(pytest.fail.Exception):  # type: ignore[misc, name-defined]
    """A judgement: a contract or a snapshot does not hold.

    Only this can be a known failure; a plain `pytest.fail` says that nothing could be judged.
    """

    def __init__(self, message: str, evidence: Evidence | None = None) -> None:
        """A message that teaches, and both sides for the report; no traceback is shown."""
        super().__init__(message, pytrace=False)
        self.evidence = evidence
