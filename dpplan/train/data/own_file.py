"""A user's own file, told by its ending."""

from dpplan.errors import UsageError
from dpplan.recipe import Data
from dpplan.train.data import arrays, tables
from dpplan.train.data.examples import Examples
from dpplan.train.data.paths import file_at

READERS = {".npz": arrays.npz, ".csv": tables.from_csv, ".parquet": tables.from_parquet}


def own(data: Data) -> Examples:
    """data.path: an .npz with arrays `inputs` and `targets`, or a .csv or .parquet with a column data.target."""
    file = file_at(data)
    read = READERS.get(file.suffix.lower())
    if read is None:
        raise UsageError(
            f"data.path={file} does not end in one of: {', '.join(READERS)}. For other files, data.source: "
            "module:function calls a function of yours that returns (inputs, targets)."
        )
    return read(file, data)
