"""A model's files from the hub: exactly the registry's, at its revision, hashes checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.utils
from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache

from ..cache import sha256
from ..errors import AssetError
from ..models import Model, PinnedFile
from .hub_errors import explain, problem

HUB: Any = huggingface_hub.utils  # its exports are lazy from 2.x on, which hides them from mypy


def fetch(model: Model, progress: Callable[[str], None]) -> Path:
    """Download the model's files into the Hugging Face cache; the folder that holds them."""
    if model.revision is None:
        raise problem(model, "package")
    progress(f"{model.key}: {model.hub_id} at {model.revision[:8]}, {len(model.files)} files")
    folder = Path()
    for name, pinned in model.files.items():
        try:
            folder = sound(model, name, pinned).parents[name.count("/")]
        except AssetError:
            raise
        # The supported versions use different HTTP libraries, whose errors share no base class.
        except Exception as error:
            raise explain(model, name, error) from None
    return folder


def sound(model: Model, name: str, pinned: PinnedFile) -> Path:
    """The file's place in the cache, with the published content."""
    path = download(model, name)
    if not pinned.published or sha256(path) == pinned.sha256:
        return path
    # The library trusts what it has cached: without this a damaged file would stay for good.
    path = download(model, name, afresh=True)
    if (found := sha256(path)) != pinned.sha256:
        raise problem(model, "hash", file=name, found=found[:12], expected=pinned.sha256[:12])
    return path


def download(model: Model, name: str, afresh: bool = False) -> Path:
    """The file's place in the cache, downloaded if it is not there or must be had afresh."""
    hub_id, revision = model.hub_id, model.revision
    cached = try_to_load_from_cache(hub_id, name, revision=revision)
    if afresh or not isinstance(cached, str):
        ask(hf_hub_url(hub_id, name, revision=revision))
    if afresh and isinstance(cached, str):
        # A forced download replaces the blob, but not an entry that leads to another blob.
        Path(cached).unlink()
    return Path(hf_hub_download(hub_id, name, revision=revision, force_download=afresh))


def ask(url: str) -> None:
    """One request with one timeout, because the library retries a dead hub for minutes."""
    session = HUB.get_session()  # of requests up to 0.36, of httpx from 1.0
    follow = "follow_redirects" if hasattr(session, "follow_redirects") else "allow_redirects"
    response = session.request(
        "HEAD",
        url,
        headers=HUB.build_hf_headers(),
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
        **{follow: False},
    )
    HUB.hf_raise_for_status(response)
