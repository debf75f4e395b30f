"""What trl's SFTTrainer makes of rows, without training: runs inside each environment."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.harness.data.registry import registry
from tests.harness.data.training import Training, trainings
from tests.harness.prices.products import TRAINING_LIMIT

from ..record import Observer

IGNORED = -100  # the label that no loss is computed for
NARROW = {
    **dict.fromkeys(("hidden_size", "intermediate_size"), 8),
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads", "num_key_value_heads"), 1),
}


def observe_training(observer: Observer, folder: Path, key: str) -> None:
    """Ids and labels of every row; an error is every row's of its table."""
    from transformers import AutoTokenizer

    observer.note("load", "load", "", "loaded")
    chats = registry()[key].can("chat")
    for one in trainings().values():
        if one.is_chat and not chats:
            continue
        auto = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        call, first = f"SFTTrainer({one.id})", one.cases[0]
        made = observer.attempt("labels", call, first, _sequences, auto, one)
        if made is None:
            continue
        made += [([], [])] * (len(one.cases) - len(made))  # those that were dropped
        for case, (ids, labels) in zip(one.cases, made, strict=True):
            observer.note("ids", call, case, ids)
            observer.note("labels", call, case, labels)


def _sequences(auto: Any, training: Training) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of each sequence in a batch of all rows, without pads that have no label."""
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    if training.pad == "eos":
        auto.pad_token = auto.eos_token
    model = LlamaForCausalLM(LlamaConfig(**NARROW, vocab_size=len(auto) + 8))
    with TemporaryDirectory() as scratch:
        given = {"report_to": [], "use_cpu": True, "bf16": False, "gradient_checkpointing": False}
        wanted = {"packing": training.packed, "max_length": TRAINING_LIMIT}
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(output_dir=scratch, **given, **wanted),
            train_dataset=Dataset.from_list([dict(row) for row in training.rows]),
            processing_class=auto,
        )
        examples = [dict(row) for row in trainer.train_dataset]
    if not examples:
        return []
    batch = dict(trainer.data_collator(examples))
    ids, labels = batch["input_ids"].tolist(), batch["labels"].tolist()
    masks = batch["attention_mask"].tolist() if "attention_mask" in batch else [[1] * len(ids[0])]
    return [_unpadded(*row) for row in zip(ids, labels, masks, strict=True)]


def _unpadded(ids: list[int], labels: list[int], mask: list[int]) -> tuple[list[int], list[int]]:
    """The ids that are no pads, and their labels; a pad that has a label makes these longer."""
    pairs = zip(labels, mask, strict=True)
    kept = [label for label, real in pairs if real or label != IGNORED]
    return [each for each, real in zip(ids, mask, strict=True) if real], kept
