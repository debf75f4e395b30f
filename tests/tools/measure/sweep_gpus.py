"""What more GPUs bring the sweep: one process for each, in one run with one GPU alone.

`torchrun --nproc-per-node 2 -m tests.tools.measure.sweep_gpus --model llama3_1 --load nf4` lets the
first process ask all batches while the others wait, then each its share, as the sweep deals them.
Prints both rates and how many answers are the same.
"""

import sys
from contextlib import ExitStack

from tests.harness.commands import exit_status
from tests.tools.sweep.batches import Batch, batches
from tests.tools.sweep.fusing import fused_norms
from tests.tools.sweep.place import place
from tests.tools.sweep.room import batch_tokens
from tests.tools.sweep.scoring import Room, answers, asker

from .setup import Setting, parser, seconds, setting


def timed(it: Setting, made: list[Batch], tokens: int) -> tuple[float, dict[int, list[int]]]:
    """Seconds for these batches, and the answers by prompt."""
    found: dict[int, list[int]] = {}
    ask = asker(it.slot.model, "score", 1)

    def work() -> None:
        for batch, rows in answers(ask, made, Room(tokens), it.device):
            found.update(zip(batch.numbers, rows, strict=True))

    return seconds(work), found


def main() -> None:
    """Measure alone and together, and print on the first process."""
    rank, world = place()  # before the device is looked at
    it = setting(parser("sweep_gpus").parse_args())
    import torch.distributed as processes

    processes.init_process_group("gloo", rank=rank, world_size=world)
    with ExitStack() as stack:
        stack.enter_context(fused_norms(it.slot.model))
        ask, pad = asker(it.slot.model, "score", 1), it.tokenizer.eos_token_id
        agreed = [batch_tokens(ask, it.device, pad)]
        processes.broadcast_object_list(agreed)
        made = list(batches(it.ids, agreed[0], pad))
        timed(it, made[:1], agreed[0])  # warm
        processes.barrier()
        alone, expected = timed(it, made if rank == 0 else [], agreed[0])
        processes.barrier()
        shares: list[tuple[float, dict[int, list[int]]]] = [(0.0, {})] * world
        processes.all_gather_object(shares, timed(it, made[rank::world], agreed[0]))
    if rank == 0:
        together = max(took for took, _ in shares)
        got = {number: ids for _, found in shares for number, ids in found.items()}
        same = sum(got[number] == ids for number, ids in expected.items())
        print(f"{it.title}: {len(it.ids):,} prompts in {len(made)} batches")
        print(f"  1 process: {len(it.ids) / alone:.1f} prompts/s")
        print(f"  {world} processes: {len(it.ids) / together:.1f} prompts/s, ", end="")
        print(f"{alone / together:.2f} times; {same:,} of {len(expected):,} answers the same")
    it.slot.unload()
    processes.destroy_process_group()


if __name__ == "__main__":
    sys.exit(exit_status(main))
