"""Small public data sets that come with scikit-learn."""

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from dpplan.errors import MissingExtra
from dpplan.recipe import Data
from dpplan.train.data.examples import Examples

# Of the 30 features, as printed in the set's public description; dividing by them looks at no example.
BREAST_CANCER_MAXIMA = (
    *(28.11, 39.28, 188.5, 2501.0, 0.163, 0.345, 0.427, 0.201, 0.304, 0.097),  # means
    *(2.873, 4.885, 21.98, 542.2, 0.031, 0.135, 0.396, 0.053, 0.079, 0.03),  # standard errors
    *(36.04, 49.54, 251.2, 4254.0, 0.223, 1.058, 1.252, 0.291, 0.664, 0.208),  # worst values
)


def digits(data: Data) -> Examples:
    """1797 images of 8 x 8 pixels in 10 classes. Pixels count from 0 to 16 by the way the set was made, so dividing by
    16 is public knowledge; a mean or variance of the data would not be."""
    rows = _digits()
    return Examples((rows[:, :-1].reshape(-1, 1, 8, 8) / 16).astype(np.float32), rows[:, -1].astype(np.int64), 10)


def breast_cancer(data: Data) -> Examples:
    """569 tumours with 30 measurements each, in 2 classes; measurements divided by their published maxima."""
    found = _sklearn("breast_cancer")
    return Examples((found.data / BREAST_CANCER_MAXIMA).astype(np.float32), found.target.astype(np.int64), 2)


def _digits() -> Any:
    """(1797, 65): 64 pixels and the class. From scikit-learn's own file: to load scikit-learn takes two seconds."""
    installed = find_spec("sklearn")
    for folder in (installed.submodule_search_locations or ()) if installed else ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.exists():
            with gzip.open(file, "rt", encoding="ascii") as lines:
                return np.loadtxt(lines, delimiter=",")
    found = _sklearn("digits")
    return np.column_stack((found.data, found.target))


def _sklearn(name: str) -> Any:
    try:
        from sklearn import datasets
    except ModuleNotFoundError:
        raise MissingExtra(f"data.source: {name.replace('_', '-')}", "train") from None
    return getattr(datasets, f"load_{name}")()
