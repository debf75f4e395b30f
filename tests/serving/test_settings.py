"""The file that is served, and the settings that the engine samples with."""

import pytest

from tests.harness.engines.client import RequestError
from tests.harness.engines.judging import asking, check_metadata, check_same_number
from tests.harness.engines.served import Served, resolved

SENT = {"temperature": 0.25, "top_k": 7, "top_p": 0.5, "min_p": 0.125, "repetition_penalty": 1.25}


def test_metadata(served: Served, metadata_key: str) -> None:
    """Each key of the GGUF that decides ids says what the pinned tokenizer does."""
    check_metadata(served, metadata_key)


@pytest.mark.routes("settings")
def test_sampling_setting(served: Served, sampled: str) -> None:
    """What a request without settings is sampled with, as transformers resolves it."""
    field = served.engine.routes["text"].fields[sampled]
    with asking(served, sampled):
        got = served.connection.ask("settings").get(field)
        if got is None:
            raise RequestError(f"the answer does not say which {field} it takes")
    check_same_number(
        served,
        sampled,
        "samples with",
        got,
        resolved(served.tokenizer, sampled),
        "the engine takes its own default where the files say nothing",
    )


@pytest.mark.own_file
@pytest.mark.routes("text")
def test_sent_setting_is_used(served: Served, sent: str) -> None:
    """A request's own settings win."""
    field = served.engine.routes["text"].fields[sent]
    with asking(served, sent):
        settings = served.connection.ask("text", text="Hi", **{sent: SENT[sent]})
        if not isinstance(settings, dict) or field not in settings:
            raise RequestError(f"the answer does not say which {field} was used")
    check_same_number(
        served, sent, "was sent another setting than it uses", settings[field], SENT[sent]
    )
