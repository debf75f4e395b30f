# SHIM
from tests.harness.html.pages import LONGEST as LONGEST
from tests.harness.html.pages import readable as readable
from tests.harness.html.pages import render as render
