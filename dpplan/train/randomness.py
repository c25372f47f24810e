"""Where the randomness of a run comes from: one independent stream for each purpose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SEEDED = "a seeded run is reproducible and protects nobody: whoever knows the seed can subtract the noise"


@dataclass(frozen=True, slots=True)
class Randomness:
    """sampling: which examples join a batch. noise: what is added to the sum. weights: the first parameters.

    views: how the examples of a batch are augmented.
    """

    sampling: np.random.Generator
    noise: np.random.Generator
    weights: np.random.Generator
    views: np.random.Generator

    @classmethod
    def of(cls, seed: int | None, rank: int = 0) -> "Randomness":
        """From the seed, or from 128 bits of the operating system's entropy when there is none.

        rank: of this process among those that share a run. Each has streams of its own: of an unseeded run from entropy
        of its own, of a seeded run from further children of the seed. The generators (SFC64, the fastest of numpy's,
        with 256 bits of state) are statistical, not cryptographic: the claim takes them for ideal.
        """
        streams = len(cls.__slots__)
        own = np.random.SeedSequence(seed)
        if rank:  # the children 0, 1, ... are the streams of the first rank
            own = np.random.SeedSequence(own.entropy, spawn_key=(streams - 1 + rank,))
        return cls(*(np.random.Generator(np.random.SFC64(part)) for part in own.spawn(streams)))

    def state(self) -> dict[str, Any]:
        """Of each generator. Whoever has it can draw the same numbers, so it is written down for seeded runs only."""
        return {name: _plain(getattr(self, name).bit_generator.state) for name in self.__slots__}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name, of_generator in state.items():
            getattr(self, name).bit_generator.state = of_generator


def _plain(state: Any) -> Any:
    """The same without numpy's arrays, which a checkpoint does not hold."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
