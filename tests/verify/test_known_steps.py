"""What knows of a run's steps beside its count: none of it lowers what is counted, and none of it is run."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest

from dpplan.verify import known_steps
from dpplan.verify.unfinished_run import begun_in, steps_known

RUN = "0123456789abcdef" * 2


def saved(file: Path, content: object, name: str = "checkpoint/data.pkl") -> None:
    """As torch writes a checkpoint, without tensors."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content if isinstance(content, bytes) else pickle.dumps(content))


class Named:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made-by-a-checkpoint",)


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "state" / "dpplan" / "runs"
    folder.mkdir(parents=True)
    return folder


def test_the_most_that_anything_knows_of_is_counted(tmp_path: Path, record: Path) -> None:
    content = {"run": {"id": RUN, "resumes": [{"counted": 12}, {"counted": "x"}, 7]}, "planned": {"steps": 100}}
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "steps").write_text("5", encoding="utf-8")
    assert begun_in(tmp_path) == 12
    saved(tmp_path / "checkpoint.pt", {"counted": 20, "trainer": {"parameters": [Named()]}})
    assert begun_in(tmp_path) == 20
    (record / RUN).write_bytes(b"%020d\n" % 62)
    assert begun_in(tmp_path) == 62
    (tmp_path / "run.json").unlink()
    assert begun_in(tmp_path) == 20
    saved(tmp_path / "checkpoint.pt", {"counted": 20, "lineage": {"id": RUN, "resumes": ()}})
    assert begun_in(tmp_path) == 62
    (tmp_path / "steps").write_text("70", encoding="utf-8")
    assert begun_in(tmp_path) == 70
    (tmp_path / "steps").unlink()
    assert begun_in(tmp_path) is None and steps_known(tmp_path) == (62, None)


def test_what_a_checkpoint_names_is_not_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "checkpoint.pt", {"counted": 3, "lineage": Named()})
    assert known_steps.elsewhere({}, tmp_path / "checkpoint.pt") == 3
    assert not (tmp_path / "made-by-a-checkpoint").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"(((((", pickle.dumps([1]), pickle.dumps({"counted": True})])
def test_what_cannot_be_read_knows_of_nothing(tmp_path: Path, record: Path, content: bytes) -> None:
    saved(tmp_path / "checkpoint.pt", content)
    assert known_steps.elsewhere({}, tmp_path / "checkpoint.pt") == 0
    (tmp_path / "checkpoint.pt").write_bytes(content)
    assert known_steps.elsewhere({"run": {"id": "../" + RUN}}, tmp_path / "checkpoint.pt") == 0
    (record / RUN).write_bytes(content)
    assert known_steps.steps_on_record(RUN) == 0


def test_a_checkpoint_of_torch_is_read_without_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    content = {"counted": 9, "trainer": {"w": torch.ones(3), "state": torch.get_rng_state()}, "lineage": {"id": RUN}}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (tmp_path / "checkpoint.pt").write_bytes(buffer.getvalue())
    assert known_steps.elsewhere({}, tmp_path / "checkpoint.pt") == 9
