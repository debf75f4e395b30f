# SHIM
from tests.harness.sources.hub_errors import explain as explain
from tests.harness.sources.hub_errors import kind_of as kind_of
