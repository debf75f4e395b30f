# SHIM
from tests.harness.prices.products import PRICE_REPLIES as PRICE_REPLIES
from tests.harness.prices.products import PRODUCTS as PRODUCTS
from tests.harness.prices.products import QUESTION as QUESTION
from tests.harness.prices.products import PriceReply as PriceReply
from tests.harness.prices.products import Product as Product
from tests.harness.prices.products import price_prompt as price_prompt
from tests.harness.prices.products import read_price_replies as read_price_replies
from tests.harness.prices.products import read_products as read_products
from tests.harness.prices.products import training_text as training_text
