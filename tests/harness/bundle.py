# SHIM
from tests.harness.sources.bundle import bundle as bundle
from tests.harness.sources.bundle import folder_of as folder_of
from tests.harness.sources.bundle import is_intact as is_intact
