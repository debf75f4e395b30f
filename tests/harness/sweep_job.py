"""One sweep from its options to its files."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import sweep_summary as summaries
from .cache import sha256
from .fusing import compiled, fused_norms
from .live import Slot
from .memory import Load
from .models import Device, Model
from .options import versions
from .price_rows import DataSet, Row, read_rows
from .scoring import asker
from .sweep_check import Compared, compare, verdict
from .sweep_picture import draw
from .sweep_room import batch_tokens
from .sweep_run import Cut, Sweep, gathered, reader, sweep, write_predictions
from .sweep_store import ROOM, Store, write_atomically, write_lines
from .weights import Weights

Say = Callable[[str], None]
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Job:
    """A sweep's options, with what they name at hand."""

    data: DataSet
    out: Path
    facts: Model
    load: Load
    device: Device
    weights: Weights
    tokenizer: Any
    method: str  # score or generate
    new_tokens: int
    limit: int
    window: int
    batch_tokens: int | None
    format: str
    picture: str
    check: int
    compile: bool
    quiet: bool
    rank: int
    world: int

    @property
    def title(self) -> str:
        """How lines about it begin."""
        return f"{self.facts.key}: {self.device} {self.load}, {self.weights.note}"

    @property
    def predictions(self) -> Path:
        """The file with the answered rows."""
        return self.out / f"predictions.{self.format}"


def identity(job: Job) -> dict[str, Any]:
    """All that an answer depends on: a folder holds rows of one identity only."""
    data = {f"data {name}": value for name, value in asdict(job.data).items()}
    path = Path(job.data.name_or_path)
    return {
        "model": job.facts.key,
        "load": job.load,
        "device": device_name(job.device),
        "weights": job.weights.note,
        **data,
        "data sha256": sha256(path) if path.is_file() else None,
        "method": job.method,
        "new_tokens": job.new_tokens if job.method == "generate" else 1,
        "limit": job.limit,
        "window": job.window,
        "batch_tokens": job.batch_tokens,
        "compile": job.compile,
        **versions(),
    }


def device_name(device: Device) -> str:
    """The name of the chip, `cpu` for the CPU."""
    import torch

    return device if device == "cpu" else str(torch.cuda.get_device_name())


def execute(job: Job, slot: Slot, say: Say) -> int:
    """Do what is left to do of the job; the exit code."""
    store = Store(job.out, job.rank, job.world)
    with store.claimed():
        store.check_identity(identity(job))
        if (job.out / SUMMARY).is_file() and job.predictions.is_file() and not job.check:
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
    from tqdm import tqdm

    done = {line["number"] for _, line in store.results()}
    share = Sweep(job.tokenizer, store, reader(job.tokenizer, job.method), done)
    ask = asker(model, job.method, job.new_tokens)
    ends = model.generation_config.eos_token_id
    with ExitStack() as stack:
        stack.enter_context(fused_norms(model))
        if job.compile:
            stack.enter_context(compiled(model))
        measured = job.batch_tokens or batch_tokens(ask, job.device, job.tokenizer.eos_token_id)
        cut = Cut(job.window, store.agree(ROOM, measured), job.limit)
        bar = stack.enter_context(tqdm(unit=" rows", disable=job.quiet, initial=len(done)))
        rows = read_rows(job.data)
        ids = ends if isinstance(ends, list) else [ends]
        sweep(share, rows, cut, ask, job.device, ids, bar.update)
    return share.seen


def conclude(job: Job, store: Store, lines: list[dict[str, Any]], model: Any, say: Say) -> int:
    """Write predictions, bad rows, picture and summary, check; 1 if the check fails."""
    rows = [line for line in lines if "reason" not in line]
    bad = [line for line in lines if "reason" in line]
    write_predictions(job.predictions, rows)
    write_lines(job.out / "bad_rows.jsonl", bad)
    checked = check(job, rows, model) if job.check else []
    seconds = summaries.seconds_of(store.seconds())
    summary = {
        **summaries.figures(rows, bad),
        "seconds": seconds,
        "rows_per_second": len(rows) / seconds if seconds else None,
        "check": {
            "rows": len(checked),
            "equal": sum(it.equal for it in checked),
            "ties": sum(it.tie for it in checked),
        },
        **identity(job),
    }
    picture(job, rows, say)
    write_atomically(
        job.out / SUMMARY, lambda path: path.write_text(json.dumps(summary, indent=2) + "\n")
    )
    for line in [*summaries.lines(summary), *(found := verdict(job.title, checked, job.tokenizer))]:
        say(line)
    return 1 if found else 0


def check(job: Job, rows: list[dict[str, Any]], model: Any) -> list[Compared]:
    """Ask some rows, evenly spread, one by one."""
    step = max(len(rows) // job.check, 1)
    chosen = {row["number"]: row["tokens"] for row in rows[::step][: job.check]}
    asked = (row for row in read_rows(job.data) if isinstance(row, Row) and row.number in chosen)
    return [
        compare(job.facts, model, job.tokenizer, row.text, row.number, chosen[row.number])
        for row in asked
    ]


def picture(job: Job, rows: list[dict[str, Any]], say: Say) -> None:
    """Draw it, or say in one line what is missing for it."""
    if job.picture == "none":
        return
    pairs, path = summaries.pairs_of(rows), job.out / f"picture.{job.picture}"
    try:
        write_atomically(path, lambda scratch: draw(pairs, job.title, scratch, job.picture))
    except ImportError:
        say(f"no {path.name}: matplotlib is missing; pip install matplotlib, and run it again")
