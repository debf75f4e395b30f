"""How many rows a data set has, where that can be known without reading it."""

from pathlib import Path

from ..price_rows import DataSet


def row_count(data: DataSet) -> int | None:
    """Rows of a local file, for the time left: a quoted line end of a CSV counts as a row."""
    path = Path(data.name_or_path)
    if not path.is_file():
        return None
    if path.suffix.lower() == ".parquet":
        from pyarrow import parquet

        return int(parquet.read_metadata(path).num_rows)
    with path.open("rb") as stream:
        lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
    return lines - (path.suffix.lower() == ".csv")
