"""What a check is told of the data: rows that are there more than once, and files that were passed over."""

from collections import Counter

from dpplan import lint
from dpplan.train.data import Dataset, Split


def facts(dataset: Dataset) -> lint.DataFacts:
    """Of the training examples; nothing of them is kept but how many are alike."""
    counts = _counts(dataset.training)
    repeated = dataset.training.examples - len(counts)
    return lint.DataFacts(repeated=repeated, most=max(counts.values(), default=1), skipped=dataset.skipped)


def _counts(split: Split) -> "Counter[tuple[int, int]]":
    """How often each row is there. Rows are told apart by 64 bits, which confuse two in 10^-10 of all data sets."""
    inputs, targets = split.inputs.cpu().numpy(), split.targets.cpu().numpy()
    return Counter((hash(row.tobytes()), int(target)) for row, target in zip(inputs, targets, strict=True))
