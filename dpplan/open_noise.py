"""Phases whose noise is open, and noise as one number for every mechanism: twice as much is twice as much error."""

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from dpplan.mechanism import (
    BufferedNoise,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    MatrixNoise,
    Mechanism,
    NoisyMax,
    PermuteAndFlip,
    RandomizedResponse,
    StatedGdp,
    ToeplitzNoise,
    TreeAggregation,
)
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import down, up

# Mechanism -> the setting that says how much noise it adds, and whether that is the noise or its inverse.
_SETTINGS: Mapping[type, tuple[str, bool]] = MappingProxyType(
    {
        **dict.fromkeys(
            (Gaussian, TreeAggregation, ToeplitzNoise, BufferedNoise, MatrixNoise), ("noise_multiplier", False)
        ),
        StatedGdp: ("mu", True),
        **dict.fromkeys(
            (Laplace, DiscreteLaplace, RandomizedResponse, Exponential, NoisyMax, PermuteAndFlip), ("epsilon", True)
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Opening:
    """A phase that may get more or less noise. setting: what is open of it. given: whether a value stands there, which
    then says how its noise compares with that of the others. weight: how much its share, or its squared error, counts.
    """

    setting: str
    given: bool
    weight: float = 1.0


def setting_of(mechanism: type) -> str | None:
    """What says how much noise this mechanism adds; None where nothing of the kind can be chosen."""
    return _SETTINGS[mechanism][0] if mechanism in _SETTINGS else None


def epsilon_of_scale(reach: float, scale: float) -> float:
    """The ε of Laplace noise of this scale, rounded up. reach: how far one record moves the number."""
    epsilon = float(reach) / scale
    short = math.isfinite(epsilon) and Fraction(epsilon) * Fraction(scale) < Fraction(reach)
    return math.nextafter(epsilon, math.inf) if short else epsilon


def noise_of(mechanism: Mechanism) -> float:
    """How much noise it adds, in units of its sensitivity."""
    name, inverse = _SETTINGS[type(mechanism)]
    value: float = getattr(mechanism, name)
    return 1.0 / value if inverse else value


def with_noise(mechanism: Mechanism, noise: float) -> Mechanism:
    """The mechanism with this much noise or a little more: its setting has six digits."""
    name, inverse = _SETTINGS[type(mechanism)]
    change: dict[str, Any] = {name: float(down(1.0 / noise)) if inverse else float(up(noise))}
    return replace(mechanism, **change)  # type: ignore[type-var]
