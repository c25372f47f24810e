"""The last that the server loads which forked.py forks from: what is there then, no forked process looks through.

Else the first collection of garbage in each, before its command begins, copies the server's memory page by page: 0.3 s
of processor time beside the 0.02 s of a command.
"""

import gc
import os

import forked  # noqa: F401  (which every forked process begins with)

gc.collect()
gc.freeze()
# Only the server was to look in this folder, not what its processes start.
given = os.environ.pop("PYTHONPATH").rpartition(os.pathsep)[0]
if given:
    os.environ["PYTHONPATH"] = given
