"""dpplan train --watch, in a process of its own, and dpplan report beside what it wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan.train.execution.memorisation_watch import NAME


@pytest.mark.slow
def test_the_option_and_the_page(dpplan: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        "privacy: {noise_multiplier: 2, clip_norm: 1, delta: 1e-5}\ndata: {source: digits}\nmodel: {kind: logistic}\n"
        "training: {batch_size: 700, steps: 8, optimizer: sgd, learning_rate: 0.5}\n"
        "runtime: {device: cpu, threads: 1}\n"
        "audit: {watch: 5}\n",
        encoding="utf-8",
    )
    done = dpplan("train", "tiny.yaml", "--out", "run", "--watch", "7")
    assert done.returncode == 0
    assert f"  watched*           {NAME}  examples at risk, ranked: private\n" in done.stdout
    file = tmp_path / "run" / NAME
    found = json.loads(file.read_text(encoding="utf-8"))
    assert len(found["examples"]) == 7

    def page(name: str, *more: str) -> str:
        done = dpplan("report", "run", "-o", name, "--format", "md", *more)
        assert done.returncode == 0, done.stderr
        return (tmp_path / name).read_text(encoding="utf-8")

    public, private = page("a.md"), page("b.md", "--private")
    assert "memorisation watch" in private
    file.unlink()
    assert page("c.md") == public  # which tells nothing of it
    assert "memorisation watch" not in page("d.md", "--private")
