"""Rows that are there more than once."""

import torch

from dpplan.train.data import Dataset, Split
from dpplan.train.data.repeated_and_skipped import facts


def dataset(rows: list[list[float]], targets: list[int]) -> Dataset:
    split = Split(torch.tensor(rows), torch.tensor(targets))
    return Dataset(split, split, 2, skipped=("a.txt",))


def test_equal_rows_of_one_class_are_counted() -> None:
    found = facts(dataset([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [3.0, 2.0], [1.0, 2.0]], [0, 0, 0, 0, 1]))
    assert (found.repeated, found.most, found.skipped) == (2, 3, ("a.txt",))


def test_rows_that_differ_are_no_copies() -> None:
    assert facts(dataset([[1.0], [2.0]], [0, 0])).repeated == 0
