"""The answer to the price prompt: a price, in one token where the tokenizer has such tokens."""

import pytest

from tests.harness.checks import prices
from tests.harness.model.loading import LoadedModel
from tests.harness.plugins.models import Generate
from tests.harness.prices.products import Product, price_prompt, read_products

# Every twelfth product: an answer takes a second on a CPU.
each_product = pytest.mark.parametrize(
    "product", read_products()[::12], ids=lambda product: product.id
)
pytestmark = pytest.mark.loads("nf4")

ONE = {"do_sample": False, "max_new_tokens": 1}
FOUR = {"do_sample": False}


@pytest.mark.trained
@each_product
def test_likeliest_token_is_a_price(
    loaded_model: LoadedModel, product: Product, generate: Generate
) -> None:
    one = generate(price_prompt(product.text), **ONE)
    prices.check_price_token(loaded_model, product.id, one.logits)


@pytest.mark.trained
@each_product
def test_price_token_probability_matches_registry(
    loaded_model: LoadedModel, product: Product, generate: Generate
) -> None:
    one = generate(price_prompt(product.text), **ONE)
    prices.check_price_mass(loaded_model, product.id, one.logits)


@pytest.mark.trained
@pytest.mark.needs("single_token_prices")
@each_product
def test_one_token_is_the_price(
    loaded_model: LoadedModel, product: Product, generate: Generate
) -> None:
    one, four = (generate(price_prompt(product.text), **call) for call in (ONE, FOUR))
    prices.check_one_token_price(loaded_model, product.id, one)
    prices.check_same_price(loaded_model, product.id, one, four)


@each_product
def test_first_of_four_tokens_equals_single_token(
    loaded_model: LoadedModel, product: Product, generate: Generate
) -> None:
    one, four = (generate(price_prompt(product.text), **call) for call in (ONE, FOUR))
    prices.check_first_of_four(loaded_model, product.id, one, four)


@each_product
def test_price_ignores_echoed_prompt(
    loaded_model: LoadedModel, product: Product, generate: Generate
) -> None:
    prices.check_reading(loaded_model, product.id, generate(price_prompt(product.text), **FOUR))
