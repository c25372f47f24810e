"""MKL's reproducible mode, asked for before torch multiplies anything. Imported first by `dpplan.train`.

Left to itself, MKL may give a row of a product other last bits at another place in the matrix; on AMD's processors it
does. In this mode no such case has been seen. That is evidence and no proof: what Intel promises of it (Developer
Guide for oneMKL, "Obtaining numerically reproducible results") covers repetition, threads and alignment, not places.
So every run tries for itself what the arithmetic does, see `clipping.floating_point_trial`.

| processor                                  | MKL_CBWR       | measured cost                  |
|--------------------------------------------|----------------|--------------------------------|
| with AVX-512                               | AVX512,STRICT  | none                           |
| with AVX2                                  | AVX2,STRICT    | none                           |
| of another kind that MKL runs on           | COMPATIBLE     | up to twice the time of a step |
| without MKL, or of which nothing is known  | left alone     |                                |

A value that the user has set stays. One that comes after the first product of the process is not heard by MKL.
"""

import os
import platform
import sys
from collections.abc import Set
from pathlib import Path

VARIABLE = "MKL_CBWR"
X86 = {"x86_64", "amd64", "i386", "i686"}
AVX512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
CPUINFO = Path("/proc/cpuinfo")
WINDOWS = {"avx2": 40, "avx512f": 41}  # PF_*_INSTRUCTIONS_AVAILABLE in winnt.h


def mode_for(machine: str, features: Set[str]) -> str | None:
    """What MKL is asked for; None where it does not run or nothing is known of the processor."""
    if machine.lower() not in X86 or not features:
        return None
    if features >= AVX512:
        return "AVX512,STRICT"
    return "AVX2,STRICT" if "avx2" in features else "COMPATIBLE"


def cpu_features() -> Set[str]:
    """Names as Linux spells them; empty where the system does not tell."""
    if sys.platform == "win32":
        import ctypes

        found = {n for n, number in WINDOWS.items() if ctypes.windll.kernel32.IsProcessorFeaturePresent(number)}
        return found | AVX512 if "avx512f" in found else found | {"x86"}
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


def ask() -> None:
    """Asks for the mode of this processor, unless the user has asked for one."""
    if VARIABLE not in os.environ and (mode := mode_for(platform.machine(), cpu_features())):
        os.environ[VARIABLE] = mode


ask()
