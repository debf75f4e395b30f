"""Every message while something runs: warnings, log records, prints; and no input."""

import builtins
import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from unittest.mock import patch

# The root, and the libraries' own where they do not pass their records on to the root.
_LOGGERS = ("", "transformers", "accelerate", "bitsandbytes", "torch", "safetensors")

# The one message that is expected, by its logger: bitsandbytes 0.50 logs it for every int8 layer
# in every step, because its int8 kernel takes float16 and the task's dtype is bfloat16.
DECLARED = {"bitsandbytes.autograd._functions": "MatMul8bitLt: inputs will be cast from"}


def drop_declared() -> None:
    """Keep the declared messages out of every log; calling it again changes nothing."""
    for name in DECLARED:
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(DECLARED[record.name])


def _no_input(prompt: object = "") -> str:
    raise AssertionError(f"a library asked for input: {prompt}")


@contextlib.contextmanager
def capture_messages() -> Iterator[list[str]]:
    """A list of warnings, log messages from WARNING on and printed lines, complete at the end.

    Progress bars are switched off; a call of `input` raises AssertionError.
    """
    from transformers.utils import logging as hf

    messages: list[str] = []

    def collect(record: logging.LogRecord) -> None:
        messages.append(f"log {record.name}: {record.getMessage()}")

    collector, printed = logging.Handler(logging.WARNING), io.StringIO()
    collector.emit = collect  # type: ignore[method-assign]
    named = map(logging.getLogger, _LOGGERS)
    loggers = [logger for logger in named if logger.parent is None or not logger.propagate]
    verbosity, bars = hf.get_verbosity(), hf.is_progress_bar_enabled()
    hf.set_verbosity_warning()  # what a user sees who sets nothing
    hf.warning_once.cache_clear()  # a message that comes once comes once a capture
    hf.disable_progress_bar()
    for logger in loggers:
        logger.addHandler(collector)
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            patch.object(builtins, "input", _no_input),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            warnings.simplefilter("always")
            yield messages
    finally:
        for logger in loggers:
            logger.removeHandler(collector)
        hf.set_verbosity(verbosity)
        if bars:
            hf.enable_progress_bar()
    messages += [f"warning {one.category.__name__}: {one.message}" for one in caught]
    messages += [f"printed: {line}" for line in printed.getvalue().splitlines() if line.strip()]
