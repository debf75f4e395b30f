# SHIM
from tests.harness.sources.shards import tensor_files as tensor_files
