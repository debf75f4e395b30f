"""What libraries say while something runs: warnings, log messages, prints and questions."""

import builtins
import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from unittest.mock import patch

# The root, and the libraries' own where they do not pass their records on to the root.
LOGGERS = ("", "transformers", "accelerate", "bitsandbytes", "torch", "safetensors")


# The one message that is declared, by its logger: bitsandbytes 0.50 says it of every int8 layer
# in every step, because its int8 kernel takes float16 and the task's dtype is bfloat16.
DECLARED = {"bitsandbytes.autograd._functions": "MatMul8bitLt: inputs will be cast from"}


class LogCollector(logging.Handler):
    """Keeps every record from WARNING on."""

    def __init__(self, messages: list[str]) -> None:
        """Keep the records in this list."""
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record as `name: message`."""
        self.messages.append(f"log {record.name}: {record.getMessage()}")


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record is not the declared one of its logger."""
    return not str(record.msg).startswith(DECLARED[record.name])


def drop_declared() -> None:
    """Keep the declared messages out of every log; calling it again changes nothing."""
    for name in DECLARED:
        logging.getLogger(name).addFilter(is_news)


def no_input(prompt: object = "") -> str:
    """In the place of `input`: a question has nobody to answer it."""
    raise AssertionError(f"a question was answers_so_far: {prompt}")


@contextlib.contextmanager
def capture_messages() -> Iterator[list[str]]:
    """A list that fills with all that is said; progress bars are switched off, input raises."""
    from transformers.utils import logging as hf

    messages: list[str] = []
    collector, printed = LogCollector(messages), io.StringIO()
    named = [logging.getLogger(name) for name in LOGGERS]
    loggers = [it for it in named if it.parent is None or not it.propagate]
    verbosity, bars = hf.get_verbosity(), hf.is_progress_bar_enabled()
    hf.set_verbosity_warning()  # what a user sees who sets nothing
    hf.warning_once.cache_clear()  # what was said once may be said again
    hf.disable_progress_bar()
    for logger in loggers:
        logger.addHandler(collector)
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            patch.object(builtins, "input", no_input),
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
    messages += [f"warning {it.category.__name__}: {it.message}" for it in caught]
    messages += [f"printed: {line}" for line in printed.getvalue().splitlines() if line.strip()]
