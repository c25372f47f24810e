"""Normal numbers from uniform ones: the transform itself, number by number, against the formula in 50 digits."""

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dpplan.train.step.box_muller import CompiledNormals, add_normals, add_normals_there, adding_for

GRID = 2.0**-53  # uniform numbers are multiples of it, so that 1 - u is exact
LAST = 1 - GRID
EDGES = [0.0, GRID, 9_007_199 * GRID, 0.25, 0.5, 0.75, 1 - 9_007_199 * GRID, LAST]


class Given:
    """Uniform numbers that are given, and how many were asked for."""

    def __init__(self, numbers: list[float]) -> None:
        self.numbers, self.asked = numbers, 0

    def random(self, size: int) -> NDArray[np.float64]:
        self.asked += size
        return np.array(self.numbers[:size])


def exact(u: float, v: float) -> tuple[float, float]:
    """Box and Muller 1958 of 1 - u, which is never zero."""
    with mpmath.workdps(50):
        radius = mpmath.sqrt(-2 * mpmath.log(1 - mpmath.mpf(u)))
        angle = 2 * mpmath.pi * mpmath.mpf(v)
        return float(radius * mpmath.cos(angle)), float(radius * mpmath.sin(angle))


@pytest.mark.parametrize("v", EDGES)
@pytest.mark.parametrize("u", EDGES)
def test_a_pair_of_uniforms_becomes_the_pair_of_normals_of_the_formula(u: float, v: float) -> None:
    made = add_normals(torch.zeros(2, dtype=torch.float64), 1.0, Given([u, v]))
    # log(1 - u) and the angle 2πv round to 2^-53 of their size, and an angle reaches 2π.
    assert made.tolist() == pytest.approx(exact(u, v), rel=1e-15, abs=4e-15 * 8.6)


def test_the_longest_radius_is_that_of_53_bits_and_no_uniform_gives_infinity() -> None:
    made = add_normals(torch.zeros(2, dtype=torch.float64), 1.0, Given([LAST, 0.0]))
    assert float(made[0]) == pytest.approx(8.5716743, rel=1e-7)
    assert bool(torch.isfinite(made).all())


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_an_odd_vector_leaves_the_last_sine_out_and_every_number_is_used_once(size: int) -> None:
    pairs = -(-size // 2)
    uniforms = np.random.default_rng(0).random(2 * pairs).tolist()
    source = Given(uniforms)
    made = add_normals(torch.zeros(size, dtype=torch.float64), 1.0, source)
    both = [exact(u, v) for u, v in zip(uniforms[:pairs], uniforms[pairs:], strict=True)]
    wanted = [first for first, _ in both] + [second for _, second in both]
    assert made.tolist() == pytest.approx(wanted[:size], rel=1e-13)
    assert source.asked == 2 * pairs


@pytest.mark.parametrize("adding", [add_normals, add_normals_there])
def test_what_is_added_scales_with_the_deviation_and_not_with_the_total(adding: object) -> None:
    total = torch.linspace(-3, 3, 7, dtype=torch.float64)
    nothing, one, five = (
        adding(begin, deviation, np.random.default_rng(1))  # type: ignore[operator]
        for begin, deviation in ((total, 0.0), (torch.zeros_like(total), 1.0), (total, 5.0))
    )
    assert torch.equal(nothing, total)
    assert torch.allclose(five, total + 5 * one, rtol=1e-14, atol=1e-14)
    assert total.tolist() == torch.linspace(-3, 3, 7, dtype=torch.float64).tolist()  # left alone


def test_each_device_has_its_way() -> None:
    assert adding_for(torch.device("cpu"), compiled=False) is add_normals
    assert isinstance(adding_for(torch.device("cpu"), compiled=True), CompiledNormals)
    assert adding_for(torch.device("cuda"), compiled=True) is add_normals_there
