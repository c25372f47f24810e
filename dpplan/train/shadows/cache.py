"""A folder that keeps what the models of an attack said, so that an attack that was broken off goes on.

Nothing in it is covered by ε as a whole: it holds every example's coins and losses in every model.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dpplan
from dpplan.durable_files import trouble, write_whole
from dpplan.errors import UsageError
from dpplan.render.to_json import dumps

SCHEMA = "dpplan.shadows/1"
MANIFEST = "shadows.json"
PRIVATE = "who was in each model, and its losses on all examples: not covered by epsilon, not to be published"


@dataclass(frozen=True, slots=True)
class ShadowFolder:
    """shadows.json says what the models are of; 0000.npz and so on hold the coins and the answers of each."""

    path: Path

    @classmethod
    def opened(cls, path: Path, key: Mapping[str, Any]) -> "ShadowFolder":
        """Made if it is not there. Raises UsageError when it holds something else than models of this key."""
        file = path / MANIFEST
        try:
            path.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8") if file.exists() else None
        except (OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError):
                raise trouble(f"cache={path} cannot be used", error) from None
            text = ""
        if text is None:
            if any(path.iterdir()):
                raise UsageError(f"cache={path} holds other files. Name an empty folder, or one that is not there.")
            content = dumps({"schema": SCHEMA, "private": PRIVATE, **key}, indent=2)
            write_whole(file, lambda stream: stream.write(content.encode()))
            return cls(path)
        if found := _differing(text, key):
            raise UsageError(f"cache={path} holds models of another audit: {', '.join(found)} differ. Name another.")
        return cls(path)

    def load(self, number: int, examples: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]] | None:
        """The coins and the answers of a model; None when it was not trained yet, or its file is damaged."""
        try:
            with np.load(self._file(number), allow_pickle=False) as stored:
                member, confidence = stored["member"], stored["confidence"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        fits = member.shape == confidence.shape == (examples,)
        return (member, confidence) if fits and member.dtype == bool and confidence.dtype == np.float64 else None

    def save(self, number: int, member: NDArray[np.bool_], confidence: NDArray[np.float64]) -> None:
        file = self._file(number)
        write_whole(file, lambda stream: np.savez(stream, member=member, confidence=confidence))

    def _file(self, number: int) -> Path:
        return self.path / f"{number:04}.npz"


def default_folder(parent: Path, name: str, key: Mapping[str, Any]) -> Path:
    """A name of its own for each key, beside the runs."""
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
    return parent / f"{name}-shadows-{digest[:8]}"


def key_of(sha256: str, seed: int | None, inputs: NDArray[np.generic], targets: NDArray[np.int64]) -> dict[str, Any]:
    """What the models of one folder share. sha256: of the recipe."""
    data = hashlib.sha256(np.ascontiguousarray(inputs).tobytes())
    data.update(np.ascontiguousarray(targets).tobytes())
    return {
        "recipe": sha256,
        "seed": seed,
        "examples": len(targets),
        "data": data.hexdigest(),
        "dpplan": dpplan.__version__,
    }


def _differing(text: str, key: Mapping[str, Any]) -> list[str]:
    try:
        found = json.loads(text)
        named = {name: found[name] for name in ("schema", *key)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return ["all"]
    return [name for name, value in {"schema": SCHEMA, **key}.items() if named[name] != value]
