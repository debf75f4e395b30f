"""What goes wrong on the way from the hub, each as one sentence that says what to do."""

import errno
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants
from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled

from ..errors import AssetError
from ..models import Model
from ..secrets import scrub

SENTENCES = {
    "package": "this model comes from a package, not from the hub; use --source bundle",
    "gated": "its licence is not accepted for this login; accept it at "
    "https://huggingface.co/{hub_id}, then run `hf auth login` or set HF_TOKEN",
    "login": "the hub refused the login (HTTP 401), as it does if the token is missing or wrong "
    "or the repository is private or gone; run `hf auth login` or set HF_TOKEN",
    "forbidden": "the hub forbids this login to read it ({text}); use a token with read access",
    "repository": "the hub has no such repository; it was removed or `hub_id` in "
    "fixtures/models.toml is wrong: correct it, or use --source bundle",
    "revision": "the hub has no revision {revision}; it was removed or `revision` in "
    "fixtures/models.toml is wrong: correct it, or use --source bundle",
    "file": "the hub has no {file} at revision {revision}; it was removed or `files` in "
    "fixtures/models.toml is wrong: correct it, or use --source bundle",
    "rate": "the hub's rate limit is reached (HTTP 429); wait {wait}, or run `hf auth login` for "
    "a higher limit",
    "server": "the hub fails with HTTP {status}; try again later, or use --source bundle",
    "offline": "offline mode is set and the cache holds no sound {file}; unset HF_HUB_OFFLINE, or "
    "run `python -m tests.tools.fetch --source hub` where there is a network",
    "network": "no answer from {host}, or the connection was cut ({cause}); check the network "
    "and HF_ENDPOINT, or use --source bundle",
    "stranger": "what answers at {host} is not a hub; check the proxy and HF_ENDPOINT, or use "
    "--source bundle",
    "disk": "no room for {file} ({text}); free space in {cache}, or move the cache to another "
    "disk by HF_HOME",
    "denied": "the cache cannot be used ({text}); make {cache} yours to read and write, or set "
    "HF_HOME to another folder",
    "hash": "{file} has sha256 {found} where the registry has {expected}, also when downloaded "
    "afresh; check the proxy and HF_ENDPOINT, or use --source bundle",
    "other": "{file} cannot be downloaded ({cause}: {text}); use --source bundle",
}
CODES = {
    "GatedRepo": "gated",
    "RepoNotFound": "repository",
    "RevisionNotFound": "revision",
}
STATUSES = {403: "forbidden", 404: "file", 429: "rate"}
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
HTTP_LIBRARIES = ("requests", "urllib3", "httpx", "httpcore")  # which one: the hub library's choice


def explain(model: Model, name: str, error: BaseException) -> AssetError:
    """What went wrong with the file `name`, as a sentence that says what to do."""
    links, answers = list(chain(error)), answers_of(error)
    wait = answers[0].headers.get("Retry-After", "") if answers else ""
    return problem(
        model,
        kind_of(error),
        file=name,
        status=answers[0].status_code if answers else "",
        wait=f"{wait} seconds" if wait.isdigit() else "some minutes",
        cause=type(links[-1]).__name__,
        text=getattr(error, "server_message", None) or getattr(error, "strerror", None) or error,
    )


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def answers_of(error: BaseException) -> list[Any]:
    """The hub's answers that the error and its causes carry, outermost first."""
    found = [getattr(link, "response", None) for link in chain(error)]
    return [answer for answer in found if answer is not None]


def kind_of(error: BaseException) -> str:
    """The key in SENTENCES for any error of a download."""
    answers = answers_of(error)
    return kind_of_answer(answers[0]) if answers else kind_of_error(list(chain(error)))


def kind_of_answer(answer: Any) -> str:
    """The key in SENTENCES for the hub's refusal."""
    kind = CODES.get(answer.headers.get("X-Error-Code"), "")
    # Without a login the hub says "not found" of private repositories too, with status 401.
    if answer.status_code == 401 and kind != "gated":
        return "login"
    kind = kind or STATUSES.get(answer.status_code, "")
    return kind or ("server" if answer.status_code >= 500 else "other")


def kind_of_error(links: list[BaseException]) -> str:
    """The key in SENTENCES for a failure without an answer."""
    if any(isinstance(link, OfflineModeIsEnabled) for link in links):
        return "offline"
    if any(isinstance(link, FileMetadataError) for link in links):
        return "stranger"
    if any(isinstance(link, OSError) and link.errno in NO_ROOM for link in links):
        return "disk"
    if any(isinstance(link, OSError) and link.filename and link.strerror for link in links):
        return "denied"
    modules = [type(link).__module__ for link in links]
    return "network" if any(module.startswith(HTTP_LIBRARIES) for module in modules) else "other"


def problem(model: Model, kind: str, **details: object) -> AssetError:
    """The sentence of that kind, on one line and without any token."""
    text = " ".join(scrub(str(details.pop("text", ""))).split()).replace(". ", "; ").rstrip(".")
    sentence = SENTENCES[kind].format(
        hub_id=model.hub_id,
        revision=model.revision,
        host=urlsplit(constants.ENDPOINT).hostname,
        cache=constants.HF_HUB_CACHE,
        text=text[:200],
        **details,
    )
    return AssetError(scrub(f"{model.key} ({model.hub_id}): {sentence}"))
