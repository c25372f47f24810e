"""Which numbers are rounded: inside the model where that was asked for, never where gradients are summed."""

import pytest
import torch

from dpplan.train.clipping.precision import exactly, in_half, whole_products

CPU = torch.device("cpu")
# 1 + 2^-10 has 11 bits: bfloat16 keeps 8 of them, float32 all.
FINE = torch.full((1, 1), 1 + 2.0**-10)
ONE = torch.ones(1, 1)


def allowed_now() -> list[str]:
    """What torch may do with the factors of a product of float32; it has two ways to say so."""
    switches = [torch.backends.mkldnn, torch.backends.cuda]
    newer = [each.matmul.fp32_precision for each in switches if hasattr(torch.backends.mkldnn, "matmul")]
    return [torch.get_float32_matmul_precision(), *newer]


def test_only_where_half_is_asked_for_products_are_rounded() -> None:
    with in_half(CPU, half=True):
        rounded = FINE @ ONE
    with in_half(CPU, half=False):
        whole = FINE @ ONE
    assert (rounded.dtype, float(rounded)) == (torch.bfloat16, 1.0)
    assert (whole.dtype, float(whole)) == (torch.float32, 1 + 2.0**-10)


@pytest.mark.parametrize("allowed", ["highest", "high", "medium"])
def test_whole_products_are_those_of_float32_whatever_is_allowed(allowed: str) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(allowed)
    try:
        asked = allowed_now()
        with in_half(CPU, half=True), whole_products(CPU):
            product = FINE @ ONE
        after = allowed_now()
    finally:
        torch.set_float32_matmul_precision(before)
    assert (product.dtype, float(product)) == (torch.float32, 1 + 2.0**-10)
    assert after == asked


def test_whole_products_puts_its_switches_back_after_an_error() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        asked = allowed_now()
        with pytest.raises(ZeroDivisionError), whole_products(CPU):
            raise ZeroDivisionError
        assert allowed_now() == asked
    finally:
        torch.set_float32_matmul_precision(before)


def test_numbers_of_bfloat16_are_carried_over_as_they_are() -> None:
    values = torch.tensor([1.0, 3.140625, -(2.0**100)], dtype=torch.bfloat16)
    assert exactly(values).dtype == torch.float32
    assert torch.equal(exactly(values).double(), values.double())
    fine = torch.tensor([0.1], dtype=torch.float64)
    assert exactly(fine) is fine
