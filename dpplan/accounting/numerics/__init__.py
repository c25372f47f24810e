"""What accountants compute with: functions of numbers that know nothing of plans, mechanisms or privacy.

What two accountants need alike stands here, once, each with the error it makes, and tests/accounting/numerics holds it
to that against mpmath.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
# For np.errstate, around a bound: overflow and 0·inf make it infinite or NaN, and it then fails the inequality that
# every result is tested by.
QUIET: dict[str, Any] = {"over": "ignore", "under": "ignore", "invalid": "ignore", "divide": "ignore"}
