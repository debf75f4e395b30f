# SHIM
from tests.harness.html.strips import Cell as Cell
from tests.harness.html.strips import Column as Column
from tests.harness.html.strips import align as align
from tests.harness.html.strips import spans as spans
from tests.harness.html.strips import strip_html as strip_html
from tests.harness.html.strips import token_cell as token_cell
from tests.harness.html.strips import visible as visible
from tests.harness.html.strips import words as words
