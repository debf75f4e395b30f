# SHIM
from tests.harness.console import redact_streams as clean_streams
from tests.harness.redaction import sanitize as cleaned
