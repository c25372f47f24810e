"""What accountants compute with: functions of numbers that know nothing of plans, mechanisms or privacy.

What two accountants need alike stands here, once, each with the error it makes, and tests/accounting/numerics holds it
to that against mpmath.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
