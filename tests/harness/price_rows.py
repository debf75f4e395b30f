# SHIM
from tests.harness.prices.dataset import BadRow as BadRow
from tests.harness.prices.dataset import DataSet as DataSet
from tests.harness.prices.dataset import Row as Row
from tests.harness.prices.dataset import add_options as add_options
from tests.harness.prices.dataset import data_of as data_of
from tests.harness.prices.dataset import read_rows as read_rows
