"""A LoRA adapter on its base: its folder, what it adds in 4 bit, and what a merge leaves.

The adapter is that of `--adapter`, else small random ones are made, as fixtures/adapters.toml says.
"""

import pytest

from tests.harness.adapters import attached_checks, folder_checks
from tests.harness.adapters.attached import Attached
from tests.harness.adapters.folder import Adapter
from tests.harness.adapters.merging import Merged
from tests.harness.adapters.tokenizer import tokenizer_differences
from tests.harness.plugins.parametrize import Placement
from tests.harness.plugins.tokenizers import tokenizers_of

in_four_bits = pytest.mark.loads("nf4")


@in_four_bits
def test_adapter_is_of_this_base(adapters: list[Adapter]) -> None:
    for adapter in adapters:
        folder_checks.check_base(adapter)


@in_four_bits
def test_adapter_is_as_declared(adapters: list[Adapter]) -> None:
    for adapter in adapters:
        folder_checks.check_declared(adapter)


@in_four_bits
def test_adapter_file_holds_every_target(adapters: list[Adapter]) -> None:
    for adapter in adapters:
        folder_checks.check_file(adapter)


@in_four_bits
def test_adapter_has_learned(adapters: list[Adapter]) -> None:
    for adapter in adapters:
        folder_checks.check_values(adapter)


@in_four_bits
def test_saved_tokenizer_is_the_bases(
    adapters: list[Adapter], placement: Placement, pytestconfig: pytest.Config
) -> None:
    base = tokenizers_of(pytestconfig)[placement[0]].folder
    for adapter in adapters:
        folder_checks.check_tokenizer(adapter, tokenizer_differences(base, adapter.folder))


@in_four_bits
def test_attaching_says_nothing(attached: list[Attached]) -> None:
    for each in attached:
        attached_checks.check_messages(each)


@in_four_bits
def test_targets_are_wrapped(attached: list[Attached]) -> None:
    for each in attached:
        attached_checks.check_wrapped(each)


@in_four_bits
def test_adapter_bytes_are_exact(attached: list[Attached]) -> None:
    for each in attached:
        attached_checks.check_bytes(each)


@in_four_bits
def test_layers_add_the_scaled_product(attached: list[Attached]) -> None:
    for each in attached:
        attached_checks.check_deltas(each)


@in_four_bits
def test_adapter_changes_answers_and_repeats(attached: list[Attached]) -> None:
    for each in attached:
        attached_checks.check_effect(each)


@in_four_bits
def test_switched_off_it_is_the_base(attached: list[Attached]) -> None:
    for each in attached:
        attached_checks.check_off(each)


@in_four_bits
def test_merging_into_four_bits_is_refused(attached: list[Attached]) -> None:
    for each in attached:
        attached_checks.check_four_bit_merge(each)


@pytest.mark.loads("bf16")
def test_merged_weights_are_the_sum(merged: list[Merged]) -> None:
    for each in merged:
        attached_checks.check_merge(each)
