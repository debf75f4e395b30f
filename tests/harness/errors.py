"""The one error that users of the harness see when files are missing."""


class AssetError(RuntimeError):
    """A model's files cannot be had; the message is one sentence with the mend."""
