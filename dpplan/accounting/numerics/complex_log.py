"""log z, log(1 + z) and e^z − 1 for complex z, elementwise, where numpy's own round to units of 1."""

import numpy as np

from dpplan.accounting.numerics import Array, ComplexArray

LOG_LARGEST = 700.0  # moduli stay within e^±700, inside the range of floats; with more, the result is taken as that
_LEAST = 1e-300  # what a modulus is not taken below before its logarithm


def complex_log(z: ComplexArray) -> ComplexArray:
    """log z, its real part no lower than log 1e-300."""
    return _joined(np.log(np.maximum(np.abs(z), _LEAST)), np.arctan2(z.imag, z.real))


def complex_log1p(z: ComplexArray, log_largest: float = LOG_LARGEST) -> ComplexArray:
    """log(1 + z), with full accuracy where |z| is small and where 1 + z is; its real part is -log_largest at z = -1."""
    square = z.real * (2.0 + z.real) + z.imag * z.imag  # |1 + z|² − 1: near −1, rounded to units of 1
    near_one = 1.0 + z.real
    with np.errstate(divide="ignore", invalid="ignore"):
        modulus = np.where(square < -0.5, np.log(np.hypot(near_one, z.imag)), 0.5 * np.log1p(square))
    return _joined(np.where(np.isfinite(modulus), modulus, -log_largest), np.arctan2(z.imag, near_one))


def complex_expm1(z: ComplexArray, log_largest: float = LOG_LARGEST) -> ComplexArray:
    """e^z − 1, with full accuracy also where |z| is small; a real part above log_largest counts as that."""
    half, grown = np.sin(0.5 * z.imag), np.minimum(z.real, log_largest)
    return _joined(np.expm1(grown) * np.cos(z.imag) - 2.0 * half * half, np.exp(grown) * np.sin(z.imag))


def _joined(real: Array, imag: Array) -> ComplexArray:
    """Put together by hand: real + 1j·imag would turn an infinite part into a NaN in the other."""
    result = np.empty(np.shape(real), complex)
    result.real, result.imag = real, imag
    return result
