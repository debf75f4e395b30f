"""What more GPUs bring the sweep: one process for each, in one run with one GPU alone.

`torchrun --nproc-per-node 2 -m tests.tools.measure.sweep_gpus --model llama3_1 --load nf4` lets the
first process ask all batches while the others wait, then each its share, as the sweep deals them.
Prints both rates and how many answers are the same.
"""

import sys
from contextlib import ExitStack

from tests.harness.batches.answers import (
    BATCH_TOKENS,
    Batch,
    answer_batches,
    batch_answer,
    make_batches,
)
from tests.harness.batches.fused_norms import fused_norms
from tests.harness.console import exit_status
from tests.tools.sweep.ranks import rank_and_world

from .setup import Setting, parser, seconds, setting


def timed(loaded: Setting, made: list[Batch]) -> tuple[float, dict[int, list[int]]]:
    """Seconds for these batches, and the answers by prompt."""
    answers: dict[int, list[int]] = {}

    def keep(batch: Batch, rows: list[list[int]]) -> None:
        answers.update(zip(batch.numbers, rows, strict=True))

    answer = batch_answer(loaded.slot.model, "score", 1)
    took = seconds(lambda: answer_batches(answer, made, BATCH_TOKENS[loaded.device], keep))
    return took, answers


def main() -> None:
    """Measure alone and together, and print on the first process."""
    rank, world = rank_and_world()  # before the device is looked at
    loaded = setting(parser("sweep_gpus").parse_args())
    import torch.distributed as processes

    processes.init_process_group("gloo", rank=rank, world_size=world)
    with ExitStack() as stack:
        stack.enter_context(fused_norms(loaded.slot.model))
        made = list(
            make_batches(loaded.ids, BATCH_TOKENS[loaded.device], loaded.tokenizer.eos_token_id)
        )
        timed(loaded, made[:1])  # warm
        processes.barrier()
        alone, expected = timed(loaded, made if rank == 0 else [])
        processes.barrier()
        shares: list[tuple[float, dict[int, list[int]]]] = [(0.0, {})] * world
        processes.all_gather_object(shares, timed(loaded, made[rank::world]))
    if rank == 0:
        together = max(took for took, _ in shares)
        got = {number: ids for _, found in shares for number, ids in found.items()}
        same = sum(got[number] == ids for number, ids in expected.items())
        print(f"{loaded.title}: {len(loaded.ids):,} prompts in {len(made)} batches")
        print(f"  1 process: {len(loaded.ids) / alone:.1f} prompts/s")
        print(f"  {world} processes: {len(loaded.ids) / together:.1f} prompts/s, ", end="")
        print(f"{alone / together:.2f} times; {same:,} of {len(expected):,} answers the same")
    loaded.slot.unload()
    processes.destroy_process_group()


if __name__ == "__main__":
    sys.exit(exit_status(main))
