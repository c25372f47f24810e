"""dpplan compare samplers, as it is typed."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess


def test_the_command(dpplan: Callable[..., CompletedProcess[str]]) -> None:
    asked = ("compare", "samplers", "--sigma", "2", "--n", "40", "--batch", "10", "--epochs", "1", "--delta", "1e-3")
    shown = dpplan(*asked, "--without-noise", "--loader", "torch_shuffle", "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["loader"]["scheme"] == "shuffle"
    wrong = dpplan(*asked[:-4], "--loader", "torch-shufle")
    assert (
        wrong.returncode == 2 and "the length of the run is missing" in wrong.stderr and "torch-shufle" in wrong.stderr
    )
