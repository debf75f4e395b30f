"""One sweep from its options to its files."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.harness.data_sets import rows_in
from tests.harness.live import Slot
from tests.harness.price_rows import read_rows

from .finish import SUMMARY, conclude, picture
from .fusing import compiled, fused_norms
from .job import Job, identity
from .room import batch_tokens
from .run import Cut, Sweep, gathered, reader, sweep
from .scoring import asker
from .store import ROOM, Store

Say = Callable[[str], None]


def execute(job: Job, slot: Slot, say: Say) -> int:
    """Do what is left to do of the job; the exit code."""
    store = Store(job.out, job.rank, job.world, job.keep_every)
    with store.claimed():
        store.check_identity(identity(job))
        if (job.out / SUMMARY).is_file() and job.predictions.is_file() and not job.check:
            if not job.picture_path.is_file():
                picture(job, [line for _, line in store.results() if "prediction" in line], say)
            say(f"{job.out} is complete: nothing to do")
            return 0
        slot.put(job.facts, job.device, job.load, job.weights, job.tokenizer)
        seen = ask_all(job, store, slot.model)
        with store.alone():
            lines = gathered(store, seen)
            if lines is None:
                say(f"process {job.rank} of {job.world}: its rows are done, others are at work")
                return 0
            return conclude(job, store, lines, slot.model, say)


def ask_all(job: Job, store: Store, model: Any) -> set[int]:
    """Ask this process's share; numbers of all rows of the data set."""
    done = {line["number"] for _, line in store.results()}
    ask = asker(model, job.method, job.new_tokens)
    ends = model.generation_config.eos_token_id
    with ExitStack() as stack:
        stack.enter_context(fused_norms(model))
        if job.compile:
            stack.enter_context(compiled(model))
        measured = job.batch_tokens or batch_tokens(ask, job.device, job.tokenizer.eos_token_id)
        cut = Cut(job.window, store.agree(ROOM, measured), job.limit)
        bar = stack.enter_context(progress_bar(job, len(done)))
        read = reader(job.tokenizer, job.method)
        share = Sweep(job.tokenizer, store, read, done, bar.update)
        ids = ends if isinstance(ends, list) else [ends]
        sweep(share, read_rows(job.data), cut, ask, job.device, ids)
    return share.seen


def progress_bar(job: Job, done: int) -> Any:
    """Rows of this process, the rate and the time left."""
    from tqdm import tqdm

    rows = rows_in(job.data)
    total = None if rows is None else rows // job.world
    return tqdm(unit=" rows", disable=job.quiet, total=total, initial=done // job.world)
