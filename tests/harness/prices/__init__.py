"""The price task: its products and prompts, how a reply is read, and data sets of prices.

May import `data` and what is below it, no tokenizer and no model.
"""

# SHIM
from tests.harness.prices.products import MARKER as MARKER
from tests.harness.prices.replies import extract_price as extract_price
from tests.harness.prices.replies import price_token_ids as price_token_ids
from tests.harness.prices.replies import single_token_numbers as single_token_numbers
