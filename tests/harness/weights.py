# SHIM
from tests.harness.sources.weights import Weights as Weights
from tests.harness.sources.weights import from_hub as from_hub
from tests.harness.sources.weights import description as in_force
from tests.harness.sources.weights import parse_weights as parse_weights
from tests.harness.sources.weights import prepare_weights as prepare_weights
