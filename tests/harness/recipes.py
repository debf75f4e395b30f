# SHIM
from tests.harness.data.recipes import FLAGS as FLAGS
from tests.harness.data.recipes import RECIPES as RECIPES
from tests.harness.data.recipes import read_recipe as read_recipe
from tests.harness.sources.bundle import decoder_entry as decoder_entry
