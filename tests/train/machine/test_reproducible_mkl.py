"""MKL's reproducible mode: which one each processor is asked for, on every road by which torch is loaded."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from dpplan.train.machine import reproducible_mkl


def test_the_mode_that_each_processor_is_asked_for() -> None:
    new = {"avx2", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    modes = [reproducible_mkl.mode_for("x86_64", flags) for flags in (new, {"avx2", "avx512f"}, {"sse4_2"}, set())]
    assert modes == ["AVX512,STRICT", "AVX2,STRICT", "COMPATIBLE", None]
    assert reproducible_mkl.mode_for("aarch64", {"asimd"}) is None
    assert reproducible_mkl.mode_for("AMD64", {"avx2"}) == "AVX2,STRICT"


DIGITS = Path(__file__).parents[3] / "recipes" / "digits.yaml"
ROADS = {
    "import dpplan.train.clipping": None,
    "import torch, dpplan.train": "COMPATIBLE",
    f"from dpplan.__main__ import run\nrun(['train', {str(DIGITS)!r}, '--dry-run', '--device', 'cpu'])": None,
}


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("road", ROADS)
def test_the_mode_is_asked_for_on_every_road_and_the_users_own_stays(road: str) -> None:
    asked = ROADS[road]
    wanted = asked or reproducible_mkl.mode_for(platform.machine(), reproducible_mkl.cpu_features())
    script = f"{road}\nimport os, sys; print('mode', os.environ.get('MKL_CBWR'), 'torch' in sys.modules)"
    assert after(script, asked).splitlines()[-1] == f"mode {wanted} True"


@pytest.mark.slow
def test_a_mode_that_comes_too_late_is_seen_by_trying() -> None:
    """A product before dpplan is imported, and MKL no longer listens. What it does then may differ, and is covered."""
    script = (
        "import torch; torch.randn(8, 8) @ torch.randn(8, 8)\n"
        "from torch import nn\n"
        "from dpplan.train.clipping import BookKeeping, tried\n"
        "from dpplan.train.clipping.rules import Flat, ROUND_OFF\n"
        "torch.manual_seed(0); torch.set_num_threads(1)\n"
        "net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))\n"
        "x = torch.randn(16, 6); order = torch.arange(16).roll(1)\n"
        "same = torch.equal(net(x)[order], net(x[order]))\n"
        "seen = tried(BookKeeping(net, 16), Flat(1.0), x[0])\n"
        "print(same, seen.place > 0, seen.round_off(1000) == ROUND_OFF)"
    )
    same, differs, covered = after(script, None).split()
    assert covered == "True"
    assert same == "True" or differs == "True"  # where bits differ, it was noticed


def after(script: str, asked: str | None) -> str:
    """What a fresh Python prints."""
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    if asked is not None:
        environment["MKL_CBWR"] = asked
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    return done.stdout
