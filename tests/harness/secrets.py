# SHIM
from tests.harness.redaction import is_secret as is_secret
from tests.harness.redaction import login as login
from tests.harness.redaction import redact as scrub
