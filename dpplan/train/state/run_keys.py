"""What the steps of a run share, in two files that only their owner reads, for as long as the run can go on.

draws.key   of who joins which batch of an epoch: whoever reads it knows who is in which batch
noise.key   of correlated noise: whoever reads it can subtract the noise

An unseeded run keeps them from its beginning, and a run that goes on adds a key of noise for the steps to come, so that
two copies of its folder never add one noise to two sums. Both go when the run is over.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dpplan.durable_files import remove_leftovers, write_whole
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.train.step.sampler import begins_anew, resume_refusal

OWNER = 0o600
NoiseKeys = tuple[tuple[int, str], ...]  # from which step on, counted from 0; and the key, hexadecimal
NOISE_LOST = (
    "its noise is shared by steps, and the file noise.key, from which that of earlier steps is drawn once more, is not "
    "there or not whole. The run cannot go on."
)


def tied(phase: Phase) -> bool:
    """Whether steps share noise."""
    return type(phase.mechanism) is not Gaussian


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys of the run in this folder."""

    folder: Path

    @property
    def draws(self) -> str | None:
        """None where there is nothing, or nothing whole."""
        found = _read(self._draws)
        return found if found is not None and re.fullmatch("[0-9a-f]{32}", found) else None

    @property
    def noise(self) -> NoiseKeys:
        """Empty likewise."""
        found = _read(self._noise) or ""
        lines = re.fullmatch(r"(?:[0-9]{1,15} [0-9a-f]{32}\n)+", found)
        return tuple((int(start), key) for start, key in map(str.split, found.splitlines())) if lines else ()

    def missing(self, phase: Phase) -> str | None:
        """Why an unseeded run of this phase cannot go on; None where it can."""
        if not begins_anew(phase.sampling) and self.draws is None:
            return resume_refusal(phase.sampling)
        return NOISE_LOST if tied(phase) and not self.noise else None

    def noise_known(self, starts: Iterable[int]) -> bool:
        """Whether there is a key from the first step on, and from each of these on, at which the run went on."""
        return {0, *starts} <= {start for start, _ in self.noise}

    def keep_draws(self, key: str) -> None:
        write_whole(self._draws, lambda stream: stream.write(key.encode()), OWNER)

    def noise_from(self, step: int, resumed: bool, kept: bool) -> NoiseKeys:
        """The keys of all noise before this step, and a new one from it on. kept: whether they can be found again.

        A key of later steps is of a copy that went further: what it drew is never drawn for another sum.
        """
        before = tuple(each for each in self.noise if each[0] < step) if resumed else ()
        keys = (*before, (step, secrets.token_hex(16)))
        if kept:
            text = "".join(f"{start} {key}\n" for start, key in keys)
            write_whole(self._noise, lambda stream: stream.write(text.encode()), OWNER)
        return keys

    def forget(self) -> None:
        for file in (self._draws, self._noise):
            file.unlink(missing_ok=True)
            remove_leftovers(self.folder, file.name)

    @property
    def _draws(self) -> Path:
        return self.folder / "draws.key"

    @property
    def _noise(self) -> Path:
        return self.folder / "noise.key"


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
