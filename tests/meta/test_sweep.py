"""The price sweep on SmolLM2's real weights: answers, interruption, processes and refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.harness import sweep_steps
from tests.harness.fusing import fused_norms, norms
from tests.harness.live import Slot, prepared_tokenizer
from tests.harness.logits import logit_bound
from tests.harness.models import registry
from tests.harness.price_prompts import price_prompt, read_products
from tests.harness.price_rows import BadRow, DataSet, Row, read_rows
from tests.harness.scoring import Room, SweepError, answers, asker, forward
from tests.harness.sweep import main, place
from tests.harness.sweep_batches import Batch, batches
from tests.harness.sweep_check import compare, verdict
from tests.harness.sweep_store import read_lines
from tests.harness.weights import prepare_weights

from .conftest import PROJECT

FACTS = registry()["smollm2"]
PRODUCTS = [product for product in read_products() if len(product.description) < 250][:9]
BAD = {
    3: ('{"text": "", "price": 3}', "no text"),
    5: ('{"text": "Price is $", "price": "cheap"}', "price 'cheap' is not a number"),
    7: ("{", "not JSON (Expecting property name enclosed in double quotes: line 1 column 2"),
    9: (json.dumps({"text": "word " * 200 + "Price is $", "price": 1}), "over 179 tokens"),
}
OPTIONS = (
    "--model",
    "smollm2",
    "--load",
    "bf16",
    "--device",
    "cpu",
    "--quiet",
    "--picture",
    "none",
)
SCORE = ("--method", "score", "--batch-tokens", "128", "--keep-every", "0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine good rows and four bad ones among them, prices in a column."""
    good = (
        json.dumps({"text": price_prompt(product.text), "price": product.price})
        for product in PRODUCTS
    )
    rows = [BAD[number][0] if number in BAD else next(good) for number in range(13)]
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Path:
    """The folder of a sweep that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert main([str(data), "--out", str(out), *OPTIONS, *SCORE]) == 0
    return out


@pytest.fixture(scope="module")
def slot(bundle: dict[str, Path]) -> Iterator[Slot]:
    """The model in memory, bf16."""
    slot, folder = Slot(), bundle["smollm2"]
    weights = prepare_weights(FACTS, "cpu", "auto", folder, print)
    slot.put(FACTS, "cpu", "bf16", weights, prepared_tokenizer(folder))
    yield slot
    slot.unload()


# Prompts whose next token a small model is sure of: what price it names is often a tie.
SURE = (
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,",
    "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, Monday, Tuesday,",
    "a b c d e f g h i j k l m n o p q r s t",
)


def encoded(slot: Slot, products: int = 4) -> tuple[Any, dict[int, str], tuple[Batch, ...]]:
    """Tokenizer, texts by number, and all of them in one padded batch."""
    assert slot.live is not None
    tokenizer = slot.live.tokenizer
    prompts = [price_prompt(product.text) for product in PRODUCTS[:products]]
    texts = dict(enumerate([*SURE, *prompts]))
    ids = {number: tokenizer.encode(text) for number, text in texts.items()}
    made = batches(ids, 100_000, tokenizer.pad_token_id)
    assert len(made) == 1 and made[0].mask is not None
    return tokenizer, texts, made


def asked(ask: Any, made: tuple[Batch, ...], room: Room) -> dict[int, list[int]]:
    """New tokens by row number."""
    return {
        number: ids
        for batch, rows in answers(ask, made, room, "cpu")
        for number, ids in zip(batch.numbers, rows, strict=True)
    }


@pytest.mark.parametrize(("method", "new"), [("score", 1), ("generate", 4)])
def test_answers_are_the_one_by_one_answers_or_ties(slot: Slot, method: str, new: int) -> None:
    tokenizer, texts, made = encoded(slot)
    with fused_norms(slot.model):
        got = asked(asker(slot.model, method, new), made, Room(100_000))
    found = [
        compare(FACTS, slot.model, tokenizer, texts[number], number, got[number])
        for number in sorted(texts)
    ]
    assert verdict("smollm2", found, tokenizer) == []
    assert all(it.equal for it in found[: len(SURE)])  # ties alone would show nothing
    assert all(it.gap <= it.bound for it in found if not it.equal)


def right_padded(batch: Batch) -> Batch:
    """The batch with its pads behind the prompts, and nothing that says so."""
    assert batch.mask is not None
    order = batch.mask.argsort(dim=1, descending=True, stable=True)
    return replace(batch, ids=batch.ids.gather(1, order), mask=None)


FAULTS: dict[str, Callable[[Batch], Batch]] = {
    "no mask": lambda it: replace(it, mask=None),
    "answers of other rows": lambda it: replace(it, numbers=it.numbers[1:] + it.numbers[:1]),
    "padded on the right": right_padded,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_fails_the_check(slot: Slot, fault: str) -> None:
    tokenizer, texts, made = encoded(slot, products=1)
    faulty = tuple(FAULTS[fault](batch) for batch in made)
    got = asked(asker(slot.model, "generate", 4), faulty, Room(100_000))
    found = [
        compare(FACTS, slot.model, tokenizer, texts[number], number, got[number])
        for number in sorted(texts)
    ]
    first, *_ = verdict("smollm2: cpu bf16", found, tokenizer)
    assert first.startswith("smollm2: cpu bf16: row ") and "likely cause: pads are read" in first


def test_fused_norms_move_logits_within_the_bound_and_go(slot: Slot) -> None:
    import torch

    _, _, (batch,) = encoded(slot)
    with torch.inference_mode():
        plain = forward(slot.model, batch).float()
        with fused_norms(slot.model):
            assert all("forward" in vars(norm) for norm in norms(slot.model))
            moved = forward(slot.model, batch).float()
        assert torch.equal(forward(slot.model, batch).float(), plain)
    assert len(norms(slot.model)) == 2 * FACTS.architecture["num_hidden_layers"] + 1
    assert 0 <= float((moved - plain).abs().max()) <= logit_bound(FACTS, plain)


def test_batch_without_pads_makes_no_mask(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask in memory keeps torch from its fastest attention kernel."""
    import torch

    seen: list[Any] = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def attention(*args: Any, **given: Any) -> Any:
        seen.append((given.get("attn_mask"), given.get("is_causal")))
        return plain(*args, **given)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    ask = asker(slot.model, "score", 1)
    ask(Batch((0, 1), torch.tensor([[5, 6, 7], [8, 9, 10]]), None))
    assert set(seen) == {(None, True)} and len(seen) == FACTS.architecture["num_hidden_layers"]
    seen.clear()
    ask(encoded(slot)[2][0])
    assert all(mask is not None for mask, _ in seen)


def test_batches_that_do_not_fit_are_halved_and_no_row_is_lost(slot: Slot) -> None:
    import torch

    _, _, made = encoded(slot)
    real, sizes = asker(slot.model, "score", 1), []

    def small(batch: Batch) -> Any:
        if batch.tokens > 200:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        sizes.append(batch.tokens)
        return real(batch)

    room = Room(100_000)
    got = asked(small, made, room)
    assert sorted(got) == sorted(made[0].numbers) and len(sizes) > 2
    assert room.tokens <= made[0].tokens // 2
    assert got == asked(real, made, Room(room.tokens))


def test_prompt_that_never_fits_is_told_and_other_errors_pass(slot: Slot) -> None:
    import torch

    _, _, made = encoded(slot)

    def never(batch: Batch) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def broken(batch: Batch) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(SweepError, match=r"row \d: cpu has too little memory for one prompt"):
        asked(never, made, Room(100_000))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        asked(broken, made, Room(100_000))


def test_every_row_is_there_and_the_summary_counts_it(whole: Path, data: Path) -> None:
    rows = list(read_lines(whole / "predictions.jsonl"))
    bad = {line["number"]: line["reason"] for line in read_lines(whole / "bad_rows.jsonl")}
    assert {row["number"] for row in rows} == set(range(13)) - set(BAD)
    assert bad.keys() == BAD.keys()
    assert all(bad[number].startswith(reason[:40]) for number, (_, reason) in BAD.items())
    assert [row["price"] for row in rows] == [product.price for product in PRODUCTS]
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["rows"] == 13 and summary["bad_rows"]["count"] == 4
    errors = [abs(row["prediction"] - row["price"]) for row in rows]
    assert summary["mean_absolute_error_dollars"] == pytest.approx(sum(errors) / len(errors))
    assert summary["rows_per_second"] > 0 and summary["weights"] == "weights of its package"


def test_complete_folder_is_left_alone(
    whole: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir() if path.is_file()}
    assert main([str(data), "--out", str(whole), *OPTIONS, *SCORE]) == 0
    assert "is complete: nothing to do" in capfd.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in whole.iterdir() if path.is_file()}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert {name for name in changed if not name.endswith(".lock")} == set()


def test_other_options_are_refused(
    whole: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([str(data), "--out", str(whole), *OPTIONS, *SCORE, "--limit", "50"]) == 2
    assert "holds a sweep of other limit (limit: 179 there, 50 asked)" in capfd.readouterr().err


def command(data: Path, out: Path, *launcher: str) -> list[str]:
    """The sweep in a process of its own."""
    start = [sys.executable, *launcher, "-m", "tests.harness.sweep"]
    return [*start, str(data), "--out", str(out), *OPTIONS, *SCORE]


def test_killed_in_the_middle_and_resumed_every_row_is_there_once(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(data, out), cwd=PROJECT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(out.glob("parts/[0-9]*.jsonl"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline, "it ended before the kill"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "summary.json").exists()
    kept = {path: path.read_bytes() for path in out.glob("parts/[0-9]*.jsonl")}
    done = sum(line.count(b'"number"') for line in kept.values())
    assert 0 < done < 13, "nothing was left to do"
    assert main([str(data), "--out", str(out), *OPTIONS, *SCORE]) == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    for name in ("predictions.jsonl", "bad_rows.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_interrupted_and_resumed_every_row_is_there_once(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    bundle: dict[str, Path],
) -> None:
    def interrupted(data: DataSet) -> Iterator[Row | BadRow]:
        yield from islice(read_rows(data), 8)
        raise KeyboardInterrupt

    options = [str(data), "--out", str(tmp_path / "out"), *OPTIONS, *SCORE, "--window", "4"]
    with monkeypatch.context() as patch:
        patch.setattr(sweep_steps, "read_rows", interrupted)
        assert main(options) == 130
    assert "run the same command to go on" in capfd.readouterr().err
    kept = {path: path.read_bytes() for path in tmp_path.glob("out/parts/[0-9]*.jsonl")}
    assert 0 < sum(content.count(b'"number"') for content in kept.values()) <= 8
    assert main(options) == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    rows = list(read_lines(tmp_path / "out" / "predictions.jsonl"))
    assert [row["number"] for row in rows] == [n for n in range(13) if n not in BAD]


def test_two_processes_give_what_one_gives(whole: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(
        command(data, out, *launcher),
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = {path.name.split("-")[1] for path in out.glob("parts/[0-9]*.jsonl")}
    assert ranks == {"rank0of2", "rank1of2"}
    for name in ("predictions.jsonl", "bad_rows.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["missing.jsonl"], "missing.jsonl: there is no such file; check the path"),
        (["owner/name"], "owner/name: a data set of the hub is read at a pinned revision only"),
        (["DATA", "--text-column", "body"], "give --text-column one of text, price"),
        (["DATA", "--weights", "nowhere"], "--weights smollm2=nowhere: write auto, hub, dummy"),
    ],
)
def test_what_cannot_be_swept_is_told_in_one_line(
    arguments: list[str],
    line: str,
    data: Path,
    tmp_path: Path,
    bundle: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    given = [str(data) if it == "DATA" else it for it in arguments]
    assert main([*given, "--out", str(tmp_path / "out"), *OPTIONS]) == 2
    assert line in capfd.readouterr().err.splitlines()[-1]


def test_check_that_fails_is_told_and_is_status_1(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    bundle: dict[str, Path],
) -> None:
    def shifted(*arguments: Any) -> Any:
        ask = asker(*arguments)
        return lambda batch: ask(batch) + 1000

    monkeypatch.setattr(sweep_steps, "asker", shifted)
    out = tmp_path / "out"
    assert main([str(data), "--out", str(out), *OPTIONS, *SCORE, "--check", "2"]) == 1
    told = capfd.readouterr().err.splitlines()
    assert told[-2].startswith("smollm2: cpu bf16, weights of its package: row ")
    assert "in a batch, expected" in told[-2] and told[-1].strip().startswith("2 of 2 rows differ")
    assert json.loads((out / "summary.json").read_text())["check"]["equal"] == 0
    assert len(list(read_lines(out / "predictions.jsonl"))) == len(PRODUCTS)


@pytest.mark.parametrize(
    ("visible", "expected"), [(None, "1"), ("4,7", "7"), ("", ""), ("GPU-a,GPU-b", "GPU-b")]
)
def test_each_process_sees_its_own_gpu(
    visible: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert place() == (3, 4)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == expected


def test_one_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    assert place() == (0, 1) and "CUDA_VISIBLE_DEVICES" not in os.environ
