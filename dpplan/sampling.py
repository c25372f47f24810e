"""How the batch of one step is drawn. The sampler reads the same object that the accountant reads."""

from dataclasses import dataclass

from dpplan.checks import Problems


@dataclass(frozen=True, slots=True)
class Poisson:
    """Every example joins each batch independently with probability `sample_rate` (q, in (0, 1]).

    Batch sizes vary, may be zero, and no batch is cut or padded. sample_rate = 1 is full-batch training.
    """

    sample_rate: float

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.probability(
                "sample_rate",
                self.sample_rate,
                try_="It is the expected batch divided by the examples (--q).",
            )
        object.__setattr__(self, "sample_rate", float(self.sample_rate))

    @property
    def assumption(self) -> str:
        return "Poisson sampling" if self.sample_rate < 1 else "full batch"
