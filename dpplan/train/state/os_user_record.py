"""What this user's account knows of each run: how many of its steps were begun, in whatever folder that was.

A copy of a run's folder counts on its own, and so does a folder that was put back from a backup. The entry of a run
here is one for all of them. Where it is kept, and read without holding it: verify.known_steps.
"""

from dpplan.durable_files import told
from dpplan.errors import InputOutputFailed
from dpplan.train.state.step_count import CountFile
from dpplan.verify.known_steps import records

_WHAT = "this user's record of the run"


class UserRecord:
    """The entry of one run, held while the run goes on, so that no copy of its folder can go on beside it.

    missing: why there is no entry to read or to write, "" when there is one. counted: the steps it knew of when it was
    opened. Nothing here stops a run that has no home to keep it in.
    """

    def __init__(self, run: str, *, new: bool) -> None:
        """new: whether the run begins now. Raises UsageError when a process goes on with the run."""
        self.missing, self.counted = "", 0
        self._entry: CountFile | None = None
        try:
            folder = records()
            with told(f"{folder}: cannot be used"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                known = (folder / run).exists()
            self._entry = CountFile(folder / run, new=not known, what=_WHAT)
        except InputOutputFailed as error:
            self.missing = _sentence(str(error))
        else:
            self.counted = self._entry.count
            if not known and not new:
                self.missing = _sentence("this user's record knew nothing of this run when it went on here")

    def note(self, counted: int) -> None:
        """Counts the steps begun by now; the folder's own count comes first. A disk that is full ends the entry."""
        if self._entry is not None and counted > self._entry.count:
            try:
                self._entry.write(counted)
            except InputOutputFailed as error:
                self.missing = _sentence(str(error))
                self.close()

    def close(self) -> None:
        if self._entry is not None:
            self._entry.close()
            self._entry = None


def _sentence(why: str) -> str:
    return f"{why.removesuffix('.')}; a copy of the folder that goes on cannot be noticed by it"
