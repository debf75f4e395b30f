"""What a server does otherwise is told by the tokens that it counts, in few requests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.cases import conversations
from tests.harness.data.registry import registry
from tests.harness.engines.asking import Connection
from tests.harness.engines.client import Client
from tests.harness.engines.signatures import MOST, Signatures, diagnose, signatures
from tests.harness.engines.starting import start
from tests.harness.engines.tiny import tiny_file, vocabulary_metadata, write_tiny
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.meta.engines.test_endpoint import ENGINE, run_endpoint
from tests.meta.faults.patches.serving.proxy import CHAT, Proxy

# Threads of the servers here outlive what they serve.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Served:
    """llama.cpp on a model's tiny file, with a fault in it or in front of it."""

    def __init__(self, key: str, folder: Path, file: Path | None = None, **options: Any) -> None:
        """Start it."""
        model = registry()[key]
        path = file or tiny_file(folder, model, ENGINE.files[key], True)
        self.server = start(ENGINE, path, {**ENGINE.options, **options})
        self.url = str(self.server.listening_address)


def unchanged(_: str, content: Any) -> Any:
    """As it is."""
    return content


def added(number: int) -> Any:
    """A count that is so much more."""

    def change(path: str, answer: Any) -> Any:
        if path == CHAT and "usage" in answer:
            answer["usage"]["prompt_tokens"] += number
        return answer

    return change


def messages(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Any:
    """Requests with other messages."""

    def asked(_: str, body: Any) -> Any:
        return {**body, "messages": change(body["messages"])} if "messages" in body else body

    return asked


def texts_changed(change: Callable[[str], str]) -> Any:
    """Requests with other texts."""
    return messages(lambda turns: [{**m, "content": change(m["content"])} for m in turns])


def lost(name: str) -> Any:
    """Requests without a field."""
    return lambda _, body: {key: value for key, value in body.items() if key != name}


GIVEN = {"role": "system", "content": "You are a helpful assistant with great knowledge."}
# The model, what changes requests, what changes answers, and what the counts must look like.
COUNTED: dict[str, tuple[str, Any, Any, str]] = {
    "sound_llama": ("llama3_1_instruct", unchanged, unchanged, ""),
    "sound_phi": ("phi3", unchanged, unchanged, ""),
    "sound_smollm2": ("smollm2", unchanged, unchanged, ""),
    "bos_twice": ("llama3_1_instruct", unchanged, added(1), "BOS twice, or another token more"),
    "bos_lost": ("llama3_1_instruct", unchanged, added(-1), "BOS lost, or another token"),
    "bos_added": ("phi3", unchanged, added(1), "BOS twice, or another token more"),
    "system_dropped": (
        "phi3",
        messages(lambda turns: [m for m in turns if m["role"] != "system"] or turns),
        unchanged,
        "the system message dropped",
    ),
    "system_dropped_llama": (
        "llama3_1_instruct",
        messages(lambda turns: [m for m in turns if m["role"] != "system"] or turns),
        unchanged,
        "the system message dropped",
    ),
    "functions_dropped": ("llama3_1_instruct", lost("tools"), unchanged, "the functions dropped"),
    "turns_dropped": (
        "smollm2",
        messages(lambda turns: [m for m in turns if m["role"] == "system"] + turns[-1:]),
        unchanged,
        "earlier turns dropped",
    ),
    "system_added": (
        "phi3",
        messages(lambda turns: turns if turns[0]["role"] == "system" else [GIVEN, *turns]),
        unchanged,
        "a system message added",
    ),
    "white_space": (
        "smollm2",
        texts_changed(str.strip),
        unchanged,
        "white space at the ends of texts lost",
    ),
    "lines": (
        "phi3",
        texts_changed(lambda text: text.replace("\r\n", "\n")),
        unchanged,
        "line ends rewritten",
    ),
    "nfc_lost": ("qwen2", unchanged, unchanged, "texts not in NFC"),
}


QUICK = ("sound_phi", "bos_added", "system_dropped", "white_space", "nfc_lost")


@pytest.fixture(scope="module")
def tokenizers(bundle: dict[str, Path]) -> dict[str, LoadedTokenizer]:
    """The pinned tokenizers by key."""
    return {
        key: LoadedTokenizer(registry()[key], "bundle", lambda: bundle)
        for key in registry()
        if registry()[key].can("chat")
    }


_KNOWN: dict[str, Signatures] = {}


def known_counts(tokenizer: LoadedTokenizer) -> Signatures:
    """The signatures of a model, worked out once."""
    spec = tokenizer.spec
    if spec.key not in _KNOWN:
        chats = [
            chat
            for chat in conversations().values()
            if spec.can("chat", *chat.needs) and spec.key not in chat.raises
        ]
        _KNOWN[spec.key] = signatures(tokenizer, chats)
    return _KNOWN[spec.key]


def verdict(tokenizer: LoadedTokenizer, url: str) -> str:
    """What the counts of a server look like."""
    known, client = known_counts(tokenizer), Client(url)
    assert len(known.chats) <= MOST
    connection = Connection(ENGINE, client)
    got = tuple(connection.count(chat, "usage") for chat in known.chats)
    assert client.sent <= MOST
    return diagnose(known, got)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in COUNTED],
)
def test_counts_tell_the_fault(name: str, tokenizers: dict[str, LoadedTokenizer]) -> None:
    key, asked, answered, says_ = COUNTED[name]
    served = Served(key, tokenizers[key].folder)
    proxy = Proxy(served.server, asked, answered)
    found = verdict(tokenizers[key], proxy.listening_address)
    assert found.startswith(says_), found
    assert bool(found) == bool(says_), found


def test_counts_tell_another_template(tokenizers: dict[str, LoadedTokenizer]) -> None:
    served = Served("phi3", tokenizers["phi3"].folder, chat_template="chatml")
    assert verdict(tokenizers["phi3"], served.url).startswith("another template (ChatML)")


@pytest.mark.slow
def test_counts_tell_digits(tokenizers: dict[str, LoadedTokenizer], tmp_path: Path) -> None:
    key = "llama3_1_instruct"
    model, folder = registry()[key], tokenizers[key].folder
    given = vocabulary_metadata(folder, model, ENGINE.files[key])
    given |= {"tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.add_bos_token": True}
    write_tiny(tmp_path / "digits.gguf", model, given)
    served = Served(key, folder, tmp_path / "digits.gguf")
    assert verdict(tokenizers[key], served.url).startswith("numbers cut into digits")


def test_whole_run_on_a_sound_server_and_on_another_model(
    tokenizers: dict[str, LoadedTokenizer],
) -> None:
    served = Served("phi3", tokenizers["phi3"].folder)
    run = run_endpoint(served.url)
    assert run.code == 0, run.out[-2000:]
    assert run.line("4 passed")
    run = run_endpoint(served.url, key="qwen2")
    assert run.code == 1
    assert "likely cause: it serves another model than qwen2, or " in run.line("qwen2 ")
