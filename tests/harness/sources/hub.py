"""A model's files from the hub: exactly the registry's, at its revision, hashes checked."""

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub.utils
from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError

from ..console import Progress
from ..data.registry import Model, PinnedFile
from ..errors import AssetError
from ..files import sha256
from ..redaction import redact

_HUB: Any = huggingface_hub.utils  # its exports are lazy from 2.x on, which hides them from mypy
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_HTTP_LIBRARIES = ("requests", "urllib3", "httpx", "httpcore")  # the hub library chooses one
_LONGEST = 400  # characters of a message that is not ours


def fetch(model: Model, progress: Progress) -> Path:
    """Download the model's files into the Hugging Face cache; the folder that holds them.

    Raises AssetError, in one line and without any token, if one cannot be had as it is pinned.
    """
    if model.revision is None:
        raise _refusal(model, "its files come from a package, not from the hub;")
    progress(f"{model.key}: {model.hub_id} at {model.revision[:8]}, {len(model.files)} files")
    folder = Path()
    for name, pin in model.files.items():
        try:
            folder = _verified(model, name, pin).parents[name.count("/")]
        except AssetError:
            raise
        # The supported versions use different HTTP libraries, whose errors share no base class.
        except Exception as error:
            raise explain(model, name, error) from None
    return folder


def _verified(model: Model, name: str, pin: PinnedFile) -> Path:
    path = _download(model, name)
    if not pin.published or sha256(path) == pin.sha256:
        return path
    # The library trusts what it has cached: without this a damaged file would stay for good.
    path = _download(model, name, force=True)
    if (digest := sha256(path)) != pin.sha256:
        raise _refusal(
            model,
            f"{name} has sha256 {digest[:12]} where the registry has {pin.sha256[:12]}, even after "
            "a second download; check the proxy and HF_ENDPOINT, or",
        )
    return path


def _download(model: Model, name: str, force: bool = False) -> Path:
    hub_id, revision = model.hub_id, model.revision
    cached = try_to_load_from_cache(hub_id, name, revision=revision)
    if force or not isinstance(cached, str):
        request_head(hf_hub_url(hub_id, name, revision=revision))
    if force and isinstance(cached, str):
        # A forced download replaces the blob, but not an entry that leads to another blob.
        Path(cached).unlink()
    return Path(hf_hub_download(hub_id, name, revision=revision, force_download=force))


def request_head(url: str) -> None:
    """Send one HEAD request with one timeout: the library retries a dead hub for minutes.

    Raises the library's error for a status of 400 or more.
    """
    session = _HUB.get_session()  # of requests up to 0.36, of httpx from 1.0
    follow = "follow_redirects" if hasattr(session, "follow_redirects") else "allow_redirects"
    options = {"timeout": constants.HF_HUB_ETAG_TIMEOUT, follow: False}
    response = session.request("HEAD", url, headers=_HUB.build_hf_headers(), **options)
    _HUB.hf_raise_for_status(response)


def fetch_named(
    hub_id: str, revision: str, needed: Sequence[str], others: Sequence[str], instead: str
) -> tuple[Path, str]:
    """Download these files of any repository, the `others` if they are there.

    Returns their folder and the commit, to which a branch or tag leads: all are of one. Raises
    AssetError as `fetch`, or if one lacks; `instead` is what can be done then.
    """
    commit, folder = revision, Path()
    for name in (*needed, *others):
        try:
            if not constants.HF_HUB_OFFLINE:
                request_head(hf_hub_url(hub_id, name, revision=commit))
            folder = Path(hf_hub_download(hub_id, name, revision=commit)).parent
        # The supported versions use different HTTP libraries, whose errors share no base class.
        except Exception as error:
            absent = isinstance(error, EntryNotFoundError)
            absent = absent and not isinstance(error, LocalEntryNotFoundError)
            if absent and name not in needed:
                continue
            cause = _cause(hub_id, name, error)
            what = f"there is no {name} at {commit[:8]};" if absent else cause
            raise AssetError(redact(f"{hub_id}: {what} {instead}")) from None
        commit = folder.name
    return folder, commit


def explain(model: Model, name: str, error: Exception) -> AssetError:
    """Why the file `name` could not be downloaded, and what to do, in one line."""
    return _refusal(model, _cause(model.hub_id, name, error))


def _cause(hub_id: str, name: str, error: Exception) -> str:
    """The same, to be followed by what else can be done."""
    causes = list(_causes(error))
    answers = [getattr(cause, "response", None) for cause in causes]
    statuses = [answer.status_code for answer in answers if answer is not None]
    login = "run `hf auth login` or set HF_TOKEN, or"
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        page = f"https://huggingface.co/{hub_id}"
        return f"access is gated; ask for it at {page}, then {login}"
    if 401 in statuses:
        # Without a login the hub says "not found" of private repositories, too.
        what = "login refused (HTTP 401): the token is missing or wrong, or the repository private"
        return f"{what}; {login}"
    if any(isinstance(cause, OSError) and cause.errno in _NO_ROOM for cause in causes):
        cache = f"{constants.HF_HUB_CACHE}, or move the cache by HF_HOME"
        return f"no room on the disk for {name}; free space in {cache}, or"
    if not statuses and any(type(c).__module__.startswith(_HTTP_LIBRARIES) for c in causes):
        host, cause = urlsplit(constants.ENDPOINT).hostname, type(causes[-1]).__name__
        what = f"no answer from {host}, or the connection was cut ({cause})"
        return f"{what}; check the network and HF_ENDPOINT, or"
    message = " ".join(str(error).split()) or type(error).__name__
    return f"{name}: {redact(message)[:_LONGEST].rstrip('.')};"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refusal(model: Model, what: str) -> AssetError:
    return AssetError(redact(f"{model.key} ({model.hub_id}): {what} use --source bundle"))
