"""A checkpoint that another trainer wrote with torch.save, for what its accountant remembers."""

from pathlib import Path
from typing import Any

import torch

from dpplan.errors import PlanError, file_error


def content(file: Path) -> Any:
    """What it holds, with nothing that it names run: tensors and plain data alone (weights_only).

    Raises PlanError for a file that holds more, or is none.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, PlanError) from None
    except Exception:  # what torch raises of a file that is no checkpoint, or holds objects, is not of one kind
        raise PlanError(
            f"{file}: is no checkpoint of tensors and plain data, or names classes, which are not loaded here. Save "
            "accountant.state_dict() as JSON."
        ) from None
