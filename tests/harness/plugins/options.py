"""The suite's pytest options, and the lines they add to the report header."""

import argparse
import os

import pytest

from ..adapters.folder import parse_adapters
from ..data.adapters import adapters as read_adapters
from ..data.cases import conversations, published, texts
from ..data.engines import DEFAULT, check_engines, engines
from ..data.recipes import read_recipe
from ..engines.endpoint import address, parse_endpoints
from ..engines.given import parse_files
from ..errors import AssetError, DataError
from ..sources.folders import ALL, Sources, check_available, chosen_models, parse_directories
from ..sources.folders import SOURCES as SOURCE_NAMES
from ..sources.weights import parse_weights
from ..versions import optional_versions, versions
from .tokenizers import ADAPTERS, ENDPOINTS, GGUFS, KEYS, SOURCES, WEIGHTS, weights_of


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; `pytest --help` shows them in one group."""
    group = parser.getgroup("conformance", "model conformance")
    group.addoption(
        "--source",
        choices=SOURCE_NAMES,
        default="bundle",
        help="where tokenizer files come from: built from index packages, or the hub "
        "(default: bundle)",
    )
    group.addoption(
        "--model-dir",
        action="append",
        default=[],
        metavar="KEY=DIR",
        help="this folder's files for this model; may be given several times (default: all models "
        "come from --source)",
    )
    group.addoption(
        "--weights",
        action="append",
        default=[],
        metavar="[KEY=]auto|hub|dummy|DIR",
        help="weights of the models that tests/quantized loads: auto (the hub's if they are "
        "cached, else random ones), hub, dummy (random), or a checkpoint folder; alone for the "
        "hub's models, with KEY= for one model; may be given several times (default: auto)",
    )
    group.addoption(
        "--models",
        metavar="KEY,KEY",
        help="only these models, or `all` (default: those that fixtures/models.toml does not mark "
        "on_request)",
    )
    group.addoption(
        "--engine",
        action="append",
        default=[],
        metavar="KEY",
        help="in tests/serving, also serve the models by this engine, from an environment of its "
        "own that tests.tools.engines.install makes; may be given several times (default: "
        "llama.cpp alone)",
    )
    group.addoption(
        "--gguf",
        action="append",
        default=[],
        metavar="KEY=FILE",
        help="serve this GGUF's vocabulary, template and settings in tests/serving, and name every "
        "key that differs from the pinned model's; may be given several times (default: files "
        "that are built from the tokenizers' folders)",
    )
    group.addoption(
        "--endpoint",
        action="append",
        default=[],
        metavar="KEY=URL",
        help="ask this server, in tests/serving, in place of llama.cpp; its key, if it wants one, "
        "is read from the environment variable ENDPOINT_API_KEY; may be given several times "
        "(default: none)",
    )
    group.addoption(
        "--endpoint-generates",
        action="store_true",
        help="a server whose only count of tokens comes with an answer may be asked for one token "
        "each of at most 24 conversations (default: off)",
    )
    group.addoption(
        "--adapter",
        action="append",
        default=[],
        metavar="KEY=DIR",
        help="check this peft LoRA adapter on this model in 4 bit; may be given several times "
        "(default: small random ones, made for the run)",
    )
    group.addoption(
        "--gate",
        action="store_true",
        help="CI mode: every check that fixtures/evidence.toml counts, for the chosen models, "
        "folders and -m gpu or -m 'not gpu', must pass or be a known failure. Whatever else leaves "
        "one out, such as a skip, -k or a deleted test, fails the run, as do missing and unused "
        "snapshots. It refuses updates, -o, -c and -W (default: off)",
    )
    group.addoption(
        "--gate-partial",
        action="store_true",
        help="with --gate: files, tests, -k and the like narrow the run on purpose; all it prints "
        "and writes says so (default: off)",
    )
    group.addoption(
        "--evidence-update",
        action="store_true",
        help="run nothing, and write into fixtures/evidence.toml how many checks a complete run "
        "makes; review the diff (default: off)",
    )
    group.addoption(
        "--report-dir",
        metavar="DIR",
        help="write report.json and report.html, one page that needs nothing else, into this "
        "folder (default: no report)",
    )
    group.addoption(
        "--snapshot-prune",
        action="store_true",
        help="remove snapshots that no case uses, after a complete green run; what records is "
        "syrupy's --snapshot-update (default: off)",
    )
    group.addoption(
        "--latency-save",
        metavar="FILE",
        help="write what the benchmarks measured, if all of them passed: the next baseline; "
        "and add a line to FILE's history, NAME.history.jsonl (default: write nothing)",
    )
    group.addoption(
        "--latency-baseline",
        metavar="FILE",
        help="compare the benchmarks with this recording: PASS, FAIL or INCONCLUSIVE "
        "(default: compare with nothing)",
    )
    group.addoption(
        "--latency-processes",
        type=int,
        metavar="N",
        help="measure in N processes, one after the other (default: the number in "
        "fixtures/benchmarks.toml for comparing and saving, else 1)",
    )
    group.addoption(
        "--latency-all",
        action="store_true",
        help="measure every benchmark (default: those of the task, where none is named by its id)",
    )
    # How tests/tools/latency grants turns; of no use by hand.
    group.addoption("--latency-turns", type=_descriptors, help=argparse.SUPPRESS)
    # pytest prints this below the error for an option that it does not know.
    ours = ", ".join(name for option in group.options for name in option.names())
    parser.extra_info["options of this suite"] = f"{ours}; pytest --help says more"


def _descriptors(value: str) -> tuple[int, int]:
    """The file descriptors that a process reads and writes turns by."""
    receive, send = value.split(",")
    return int(receive), int(send)


@pytest.hookimpl(tryfirst=True)  # the other plugins read what this stores
def pytest_configure(config: pytest.Config) -> None:
    """Check options and data before anything is collected; a mistake is one line."""
    try:
        directories = parse_directories(config.getoption("--model-dir"))
        named = config.getoption("--models")
        if named is None and config.getoption("--evidence-update"):
            named = ALL  # the ledger counts every model
        keys = chosen_models(named)
        weights = parse_weights(config.getoption("--weights"))
        check_engines(config.getoption("--engine"))
        sources = Sources(config.getoption("--source"), directories)
        words = [word.strip() for word in (named or "").split(",")]  # `all` may leave some out
        check_available([k for k in keys if k in words], sources.default, directories)
        engine = engines().get(DEFAULT)
        endpoints = parse_endpoints(config.getoption("--endpoint"))
        files = parse_files(config.getoption("--gguf"), engine.files if engine else ())
        adapters = parse_adapters(config.getoption("--adapter"))
        read_adapters()
        texts(), conversations(), published()
        for key in keys:
            read_recipe(key)
    except (AssetError, DataError) as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[SOURCES], config.stash[KEYS] = sources, keys
    config.stash[WEIGHTS] = weights
    config.stash[GGUFS], config.stash[ENDPOINTS] = files, endpoints
    config.stash[ADAPTERS] = adapters


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Versions, sources, models, weights and options of the run."""
    sources, keys = config.stash[SOURCES], config.stash[KEYS]
    directories = [f"{key}={folder}" for key, folder in sources.directories.items()]
    directories += [f"{key}={file}" for key, file in config.stash[GGUFS].items()]
    directories += [f"{key}={address(url)}" for key, url in config.stash[ENDPOINTS].items()]
    weights = [f"{key} {kind}" for key, kind in weights_of(config).items()]
    updates = ("update_snapshots", "update_new_snapshots_only", "snapshot_prune", "evidence_update")
    names = ("gate", "gate_partial", *updates)
    options = [name for name in names if config.getoption(name)]
    return [
        *(
            f"conformance: {words}" + ", ".join(f"{name} {number}" for name, number in of.items())
            for words, of in (("", versions()), ("also installed: ", optional_versions()))
        ),
        f"conformance: source {sources.default}" + "".join(f", {item}" for item in directories),
        f"conformance: models {', '.join(keys)}",
        f"conformance: weights {', '.join(weights) or 'none'}",
        *(f"conformance: adapter {key}={folder}" for key, folder in config.stash[ADAPTERS].items()),
        f"conformance: options {', '.join(options) or 'none'}"
        + (" (CI)" if os.environ.get("CI") else ""),
    ]
