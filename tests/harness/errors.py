"""What users of the harness see: missing files, and a broken contract."""

import pytest


class AssetError(RuntimeError):
    """A model's files cannot be had; the message is one sentence with the mend."""


class Broken(pytest.fail.Exception):  # type: ignore[misc, name-defined]
    """A judgement: a contract or a snapshot does not hold.

    Only this can be a known failure; a plain `pytest.fail` says that nothing could be judged.
    """
