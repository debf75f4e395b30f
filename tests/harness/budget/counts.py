# SHIM
from tests.tools.budget.count import BATCH as BATCH
from tests.tools.budget.count import count_rows as count_rows
from tests.tools.budget.count import open_tokenizer as open_tokenizer
