"""What torch hangs on its own functions at their first call is no memory of an example."""

import subprocess
import sys

from dpplan.train.clipping.isolation.replaced_functions import _HANGING, hung

FRESH = """
import torch
from dpplan.train.clipping.isolation.replaced_functions import _HANGING, hung
import torch._dynamo  # as an optimizer or a compiler does in the middle of a run
torch.manual_seed(1)
assert "__dynamo_disable" in vars(_HANGING["torch.manual_seed"][0])
print(sorted(hung()))
"""


def test_the_first_call_of_a_function_that_dynamo_leaves_alone_hangs_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_something_else_under_the_same_name_is_seen() -> None:
    function = _HANGING["torch.manual_seed"][0]
    kept = vars(function).get("__dynamo_disable")
    before = set(hung())
    try:
        function.__dynamo_disable = [1.0]
        assert {name for name in set(hung()) - before if name.endswith(".__dynamo_disable")}
    finally:
        if kept is None:
            del function.__dynamo_disable
        else:
            function.__dynamo_disable = kept
