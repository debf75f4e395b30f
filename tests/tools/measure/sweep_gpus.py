"""What more GPUs bring the sweep: one process for each, in one run with one GPU alone.

`torchrun --nproc-per-node 2 -m tests.tools.measure.sweep_gpus --load nf4` lets the first process
answer all batches while the others wait, then each its share, as the sweep deals them. Prints both
rates and how many answers are the same.
"""

import sys

from tests.harness.batches.answers import BATCH_TOKENS, batch_answer, make_batches
from tests.harness.batches.fused_norms import fused_norms
from tests.harness.console import exit_status
from tests.tools.models import prepare_model, rank_and_world

from .drawn_texts import prompt_ids
from .sweep_speed import options_parser, swept


def main() -> None:
    """Measure alone and together, and print on the first process."""
    options = options_parser("sweep_gpus", __doc__ or "").parse_args()
    rank, world = rank_and_world()  # before the device is looked at
    choice = prepare_model(options)
    slot, size = choice.loaded(), BATCH_TOKENS[choice.device]
    import torch.distributed as processes

    processes.init_process_group("gloo", rank=rank, world_size=world)
    ids = prompt_ids(choice.tokenizer, options.prompts)
    answer = batch_answer(slot.model, "score", 1)
    batches = make_batches(ids, size, choice.tokenizer.eos_token_id)
    with fused_norms(slot.model):
        swept(answer, batches[:1], size)  # warms up
        processes.barrier()
        alone, expected = swept(answer, batches if rank == 0 else [], size)
        processes.barrier()
        shares: list[tuple[float, dict[int, list[int]]]] = [(0.0, {})] * world
        processes.all_gather_object(shares, swept(answer, batches[rank::world], size))
    if rank == 0:
        together = max(took for took, _ in shares)
        got = {number: tokens for _, answers in shares for number, tokens in answers.items()}
        same = sum(got[number] == tokens for number, tokens in expected.items())
        print(f"{choice.title}: {len(ids):,} prompts in {len(batches)} batches")
        print(f"  1 process: {len(ids) / alone:.1f} prompts/s")
        print(f"  {world} processes: {len(ids) / together:.1f} prompts/s, ", end="")
        print(f"{alone / together:.2f} times; {same:,} of {len(expected):,} answers the same")
    slot.unload()
    processes.destroy_process_group()


if __name__ == "__main__":
    sys.exit(exit_status(main))
