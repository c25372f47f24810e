"""dpplan compare samplers, as it is typed."""

import json
import re
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest


def test_the_command(dpplan: Callable[..., CompletedProcess[str]]) -> None:
    asked = ("compare", "samplers", "--sigma", "2", "--n", "40", "--batch", "10", "--epochs", "1", "--delta", "1e-3")
    shown = dpplan(*asked, "--without-noise", "--loader", "torch_shuffle", "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["loader"]["scheme"] == "shuffle"
    wrong = dpplan(*asked[:-4], "--loader", "torch-shufle")
    assert (
        wrong.returncode == 2 and "the length of the run is missing" in wrong.stderr and "torch-shufle" in wrong.stderr
    )


@pytest.mark.slow
def test_what_is_advised_where_n_over_batch_is_not_whole_is_answered(
    dpplan: Callable[..., CompletedProcess[str]],
) -> None:
    said = ("compare", "samplers", "--sigma", "2", "--n", "40", "--epochs", "1", "--without-noise")
    first = dpplan(*said, "--batch", "12")
    told = " ".join(first.stdout.split())
    assert "n / batch = 3.33333 steps of an epoch, which is not whole. Try --q 1/3 or --q 1/4 in place of --b" in told
    for rate in ("1/3", "1/4"):
        done = dpplan(*said, "--q", rate, "--loader", "torch-shuffle")
        assert done.returncode == 0 and re.search(r"\nballs-in-bins +add/remove +\d", done.stdout), done.stderr
