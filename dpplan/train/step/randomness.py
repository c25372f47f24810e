"""Where the randomness of a run comes from: one independent stream for each purpose."""

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

SEEDED = "a seeded run is reproducible and protects nobody: whoever knows the seed can subtract the noise"
KEY, NOISE_KEY = 0x6B6579, 0x6E6B6579  # of a seeded run: apart from the streams of any process
STREAMS = ("sampling", "noise", "weights", "views")


@dataclass(frozen=True, slots=True)
class Randomness:
    """sampling: which examples join a batch. noise: what is added to the sum. weights: the first parameters.

    views: how the examples of a batch are augmented. model: the seed of torch's own generators, from which a model
    draws in its forward pass (dropout), and nothing else does. key: of what the steps of an epoch share, hexadecimal;
    the same in every process of a seeded run. noise_keys: of noise that steps share, each with the step that it begins
    with (`correlated_noise.Keys`).
    """

    sampling: np.random.Generator
    noise: np.random.Generator
    weights: np.random.Generator
    views: np.random.Generator
    model: int
    key: str
    noise_keys: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(cls, seed: int | None, rank: int = 0) -> "Randomness":
        """From the seed, or from 128 bits of the operating system's entropy when there is none.

        rank: of this process among those that share a run. Each has streams of its own: of an unseeded run from entropy
        of its own, of a seeded run from further children of the seed. The generators (SFC64, the fastest of numpy's,
        with 256 bits of state) are statistical, not cryptographic: the claim takes them for ideal. The seed of torch's
        generators of an unseeded run is drawn apart from that entropy, so that nothing a model does with its numbers
        tells of the noise.
        """
        streams = len(STREAMS) + 1
        own = np.random.SeedSequence(seed)
        if rank:  # the children 0, 1, ... are the streams of the first rank
            own = np.random.SeedSequence(own.entropy, spawn_key=(streams - 1 + rank,))
        *parts, last = own.spawn(streams)
        model = secrets.randbits(64) if seed is None else int(last.generate_state(1, np.uint64)[0])
        sampling, noise, weights, views = (np.random.Generator(np.random.SFC64(part)) for part in parts)
        key, noise_key = secrets.token_hex(16), secrets.token_hex(16)
        if seed is not None:
            key, noise_key = (
                np.random.SeedSequence(seed, spawn_key=(part,)).generate_state(4).tobytes().hex()
                for part in (KEY, NOISE_KEY)
            )
        return cls(sampling, noise, weights, views, model, key, ((0, noise_key),))

    def drawing_alike(self, token: str) -> "Randomness":
        """With the batches of whoever has the same token, for processes that each draw the whole of them."""
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(int(token, 16))))
        return dataclasses.replace(self, sampling=rng)

    def state(self) -> dict[str, Any]:
        """Of each generator. Whoever has it can draw the same numbers, so it is written down for seeded runs only."""
        return {name: _plain(getattr(self, name).bit_generator.state) for name in STREAMS}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in STREAMS:
            getattr(self, name).bit_generator.state = state[name]


class TorchGenerators:
    """torch's generators for the CPU and for one device: what a model draws its dropout from.

    The noise never comes from them, see `noise.GaussianNoise`.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def seed(self, seed: int) -> None:
        torch.manual_seed(seed)  # of all devices

    def state(self) -> dict[str, str]:
        """As text, which compares and can be written down."""
        return {name: bytes(state.tolist()).hex() for name, state in self._states().items()}

    def restore(self, state: Mapping[str, str]) -> None:
        self._set({name: torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8) for name, text in state.items()})

    @contextlib.contextmanager
    def left_alone(self) -> Iterator[None]:
        """After the block, they are what they were before it: a run does not change what its caller draws."""
        before = self._states()
        try:
            yield
        finally:
            self._set(before)

    def _states(self) -> dict[str, torch.Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        elif self.device.type == "mps":
            states["mps"] = torch.mps.get_rng_state()
        return states

    def _set(self, states: Mapping[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if self.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.device)
        elif self.device.type == "mps" and "mps" in states:
            torch.mps.set_rng_state(states["mps"])


def _plain(state: Any) -> Any:
    """The same without numpy's arrays, which a checkpoint does not hold."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
