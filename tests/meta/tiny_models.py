# SHIM
from tests.meta.support.tiny_models import tiny as tiny
