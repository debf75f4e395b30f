"""A sweep from its options to its files."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.harness.batches.answers import Batch, answer_batches, batch_answer
from tests.harness.batches.fused_norms import compiled, fused_norms
from tests.harness.batches.parity import Comparison, compare, parity_failure
from tests.harness.console import say
from tests.harness.files import write_atomically
from tests.harness.model.generation import decoded
from tests.harness.model.loading import ModelSlot
from tests.harness.prices.dataset import BadRow, Row, read_rows, rows_in
from tests.harness.prices.replies import extract_price, price_token_ids
from tests.harness.redaction import redact

from .batches import Share, windows
from .job import Job, identity
from .store import Store, write_lines
from .summary import draw, figures, summary_lines

PriceOf = Callable[[Sequence[int]], float | None]


def run(job: Job) -> int:
    """Do what is left to do of the job; the exit code."""
    store, slot = Store(job.options.out, job.rank, job.world, job.options.keep_every), ModelSlot()
    with store.claimed():
        store.check_identity(identity(job))
        if job.is_complete and not job.options.check:
            say(f"{job.options.out} is complete: nothing to do")
            return 0
        slot.load(job.spec, job.device, job.options.load, job.weights, job.tokenizer)
        numbers = answer_share(job, store, slot.model)
        with store.exclusive():
            results = store.results()
            if not results.keys() >= numbers:
                say(f"process {job.rank} of {job.world}: its rows are done, others are at work")
                return 0
            return finish(job, [results[n] for n in sorted(numbers)], store.seconds(), slot.model)


def answer_share(job: Job, store: Store, model: Any) -> set[int]:
    """Answer this process's rows, keeping the answers as they come; numbers of all rows."""
    share = Share(job.rank, job.world, done=set(store.results()))
    price_of, ends = price_reader(job.tokenizer, job.method), model.generation_config.eos_token_id
    with ExitStack() as stack:
        stack.enter_context(fused_norms(model))
        if job.options.compile:
            stack.enter_context(compiled(model))
        progress = stack.enter_context(_progress_bar(job, len(share.done)))

        def keep_bad(rows: list[BadRow]) -> None:
            store.add({"number": row.number, "reason": row.reason} for row in rows)
            progress.update(len(rows))

        def keep(batch: Batch, answers: list[list[int]]) -> None:
            for number, tokens in zip(batch.numbers, answers, strict=True):
                row, tokens = share.rows.pop(number), until_end(tokens, ends)
                if number not in share.done:
                    store.add([_line(row, tokens, price_of(tokens), job.tokenizer)])
            progress.update(len(answers))

        sizes = job.options.window, job.batch_tokens, job.options.limit
        made = windows(read_rows(job.data), job.tokenizer, *sizes)
        answer = batch_answer(model, job.method, job.options.new_tokens)
        store.flush()  # starts the clock: loading the model does not count
        stack.callback(store.flush)  # whatever ends it, the answers so far are kept
        answer_batches(answer, share.batches(made, keep_bad), job.batch_tokens, keep)
    return share.seen


def price_reader(tokenizer: Any, method: str) -> PriceOf:
    """How tokens are read as a price; by `score` the one token must be nothing but digits."""
    prices = price_token_ids(tokenizer)

    def price_of(tokens: Sequence[int]) -> float | None:
        if method == "score" and tokens[0] not in prices:
            return None
        return extract_price(decoded(tokenizer, tokens))

    return price_of


def until_end(tokens: list[int], ends: int | list[int]) -> list[int]:
    """The tokens up to the first that ends the answer, this one too; pads follow it."""
    ends = ends if isinstance(ends, list) else [ends]
    first = next((position for position, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: first + 1]


def _line(row: Row, tokens: list[int], price: float | None, tokenizer: Any) -> dict[str, Any]:
    error = None if price is None or row.price is None else abs(price - row.price)
    return {
        "number": row.number,
        "price": row.price,
        "prediction": price,
        "error": error,
        "tokens": tokens,
        "reply": decoded(tokenizer, tokens),
    }


def _progress_bar(job: Job, done: int) -> Any:
    from tqdm import tqdm

    rows = rows_in(job.data)
    total = None if rows is None else rows // job.world
    quiet = job.options.quiet or job.rank > 0
    return tqdm(unit=" rows", disable=quiet, total=total, initial=done // job.world)


def finish(job: Job, results: list[dict[str, Any]], seconds: float, model: Any) -> int:
    """Write predictions, bad rows, picture and summary, and check; 1 if the check fails."""
    rows = [line for line in results if "reason" not in line]
    bad = [line for line in results if "reason" in line]
    write_predictions(job.predictions, rows)
    write_lines(job.predictions.with_name("bad_rows.jsonl"), bad)
    checked = check(job, rows, model) if job.options.check else []
    summary = {
        **figures(rows, bad),
        "seconds": seconds,
        "rows_per_second": len(rows) / seconds if seconds else None,
        "check": {
            "rows": len(checked),
            "equal": sum(row.equal for row in checked),
            "ties": sum(row.tie for row in checked),
            "price_goes_on": longer_prices(checked, rows),
        },
        **identity(job),
    }
    try:
        if picture := job.picture:
            write_atomically(picture, lambda path: draw(rows, job.title, path, picture.suffix[1:]))
    except ImportError:
        say("no picture: matplotlib is missing; pip install matplotlib, run the same command")
    text = redact(json.dumps(summary, indent=2)) + "\n"
    write_atomically(job.predictions.with_name("summary.json"), lambda path: path.write_text(text))
    failure = parity_failure(job.title, checked, job.tokenizer)
    for line in [*summary_lines(summary), *failure]:
        say(line)
    return 1 if failure else 0


def check(job: Job, rows: list[dict[str, Any]], model: Any) -> list[Comparison]:
    """Answer some rows, evenly spread, one by one, and compare."""
    step = max(len(rows) // job.options.check, 1)
    sample = {row["number"]: row["tokens"] for row in rows[::step][: job.options.check]}
    return [
        compare(job.spec, model, job.tokenizer, row.text, row.number, sample[row.number])
        for row in read_rows(job.data)
        if isinstance(row, Row) and row.number in sample
    ]


def longer_prices(checked: list[Comparison], rows: list[dict[str, Any]]) -> int:
    """How many checked rows the task's four tokens give another price than the sweep.

    That is so where next-token scoring is too short: `1,800` is three tokens.
    """
    predictions = {row["number"]: row["prediction"] for row in rows}
    return sum(row.equal and row.price != predictions[row.number] for row in checked)


def write_predictions(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the answered rows as JSON lines or parquet, by the file's suffix."""
    if path.suffix == ".jsonl":
        write_lines(path, rows)
        return
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"number": pa.int64(), "tokens": pa.list_(pa.int64()), "reply": pa.string()}
    floats = dict.fromkeys(("price", "prediction", "error"), pa.float64())
    table = pa.Table.from_pylist(list(rows), schema=pa.schema(kinds | floats))
    write_atomically(path, lambda scratch: parquet.write_table(table, scratch))
