"""A sweep from its options to its files."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tqdm import tqdm

from tests.harness.batches.answers import Batch, answer_batches, batch_answer
from tests.harness.batches.fused_norms import compiled, fused_norms
from tests.harness.batches.parity import Comparison, compare, parity_failure
from tests.harness.console import say
from tests.harness.files import write_atomically
from tests.harness.model.generation import decoded
from tests.harness.prices.dataset import BadRow, Row, read_rows, rows_in
from tests.harness.prices.replies import extract_price, price_token_ids
from tests.harness.redaction import redact
from tests.tools.rows import write_lines, write_rows

from .batches import Share, windows
from .job import Job
from .store import Store
from .summary import draw, figures, summary_lines


def run(job: Job) -> int:
    """Do what is left to do of the job; the exit code."""
    store = Store(job.options.out, job.rank, job.world, job.options.keep_every)
    with store.claimed():
        store.check_identity(job.identity())
        if job.is_complete and not job.options.check:
            say(f"{job.options.out} is complete: nothing to do")
            return 0
        slot = job.model.loaded()
        numbers = _answer_share(job, store, slot.model)
        with store.exclusive():
            results = store.results()
            if not results.keys() >= numbers:
                say(f"process {job.rank} of {job.world}: its rows are done, others are at work")
                return 0
            return _finish(job, [results[n] for n in sorted(numbers)], store.seconds(), slot.model)


def _answer_share(job: Job, store: Store, model: Any) -> set[int]:
    """Answer this process's rows, keeping the answers as they come; numbers of all rows."""
    share = Share(job.rank, job.world, done=set(store.results()))
    line_of = _line_maker(job, model.generation_config.eos_token_id)
    with ExitStack() as stack:
        stack.enter_context(fused_norms(model))
        if job.options.compile:
            stack.enter_context(compiled(model))
        rows, quiet = rows_in(job.data), job.options.quiet or job.rank > 0
        total, done = None if rows is None else rows // job.world, len(share.done) // job.world
        progress = stack.enter_context(tqdm(unit=" rows", disable=quiet, total=total, initial=done))

        def keep_bad(rows: list[BadRow]) -> None:
            store.add({"number": row.number, "reason": row.reason} for row in rows)
            progress.update(len(rows))

        def keep(batch: Batch, answers: list[list[int]]) -> None:
            for number, tokens in zip(batch.numbers, answers, strict=True):
                row = share.rows.pop(number)
                if number not in share.done:
                    store.add([line_of(row, tokens)])
            progress.update(len(answers))

        stream, sizes = read_rows(job.data), (job.options.window, job.batch_tokens)
        made = windows(stream, job.model.tokenizer, *sizes, job.options.limit)
        answer = batch_answer(model, job.method, job.options.new_tokens)
        store.flush()  # starts the clock: loading the model does not count
        stack.callback(store.flush)  # whatever ends it, the answers so far are kept
        answer_batches(answer, share.batches(made, keep_bad), job.batch_tokens, keep)
    return share.seen


def _line_maker(
    job: Job, end_tokens: int | list[int]
) -> Callable[[Row, list[int]], dict[str, Any]]:
    """What makes of a row and its new tokens its line in the file: the tokens to the answer's end.

    By `score` the one token must be nothing but digits to be read as a price.
    """
    tokenizer = job.model.tokenizer
    prices = price_token_ids(tokenizer)
    ends = {end_tokens} if isinstance(end_tokens, int) else set(end_tokens)

    def line_of(row: Row, tokens: list[int]) -> dict[str, Any]:
        length = next((n for n, token in enumerate(tokens, 1) if token in ends), len(tokens))
        tokens = tokens[:length]
        reply = decoded(tokenizer, tokens)
        readable = job.method == "generate" or tokens[0] in prices
        price = extract_price(reply) if readable else None
        error = None if price is None or row.price is None else abs(price - row.price)
        line = {"number": row.number, "price": row.price, "prediction": price, "error": error}
        return {**line, "tokens": tokens, "reply": reply}

    return line_of


def _finish(job: Job, results: list[dict[str, Any]], seconds: float, model: Any) -> int:
    """Write predictions, bad rows, picture and summary, and check; 1 if the check fails."""
    rows = [line for line in results if "reason" not in line]
    bad = [line for line in results if "reason" in line]
    write_rows(job.predictions, [rows], columns)
    write_lines(job.predictions.with_name("bad_rows.jsonl"), bad)
    checked = _check(job, rows, model) if job.options.check else []
    check = {"rows": len(checked), "price_goes_on": longer_prices(checked, rows)}
    check |= {"equal": sum(row.equal for row in checked), "ties": sum(row.tie for row in checked)}
    summary = {**figures(rows, bad), "seconds": seconds, "check": check, **job.identity()}
    summary["rows_per_second"] = len(rows) / seconds if seconds else None
    title = job.model.title
    try:
        if picture := job.picture:
            write_atomically(picture, lambda path: draw(rows, title, path, picture.suffix[1:]))
    except ImportError:
        say("no picture: matplotlib is missing; pip install matplotlib, run the same command")
    text = redact(json.dumps(summary, indent=2)) + "\n"
    write_atomically(job.predictions.with_name("summary.json"), text)
    failure = parity_failure(title, checked, job.model.tokenizer)
    for line in [*summary_lines(summary), *(failure.lines if failure else [])]:
        say(line)
    return 1 if failure else 0


def _check(job: Job, rows: list[dict[str, Any]], model: Any) -> list[Comparison]:
    """Answer some rows, evenly spread, one by one, and compare."""
    step = max(len(rows) // job.options.check, 1)
    sample = {row["number"]: row["tokens"] for row in rows[::step][: job.options.check]}
    spec, tokenizer = job.model.spec, job.model.tokenizer
    return [
        compare(spec, model, tokenizer, row.text, row.number, sample[row.number])
        for row in read_rows(job.data)
        if isinstance(row, Row) and row.number in sample
    ]


def longer_prices(checked: list[Comparison], rows: list[dict[str, Any]]) -> int:
    """How many checked rows have another price by the task's four tokens: `1,800` is three."""
    predictions = {row["number"]: row["prediction"] for row in rows}
    return sum(row.equal and row.price != predictions[row.number] for row in checked)


def columns(pa: Any) -> dict[str, Any]:
    """The types of a prediction's fields in parquet."""
    dollars = dict.fromkeys(("price", "prediction", "error"), pa.float64())
    return {"number": pa.int64(), **dollars, "tokens": pa.list_(pa.int64()), "reply": pa.string()}
