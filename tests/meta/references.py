# SHIM
from tests.meta.support.independent_tokenizers import llama3_1 as llama3_1
from tests.meta.support.independent_tokenizers import qwen2 as qwen2
from tests.meta.support.independent_tokenizers import starcoder2 as starcoder2
