"""The keys of a run: who reads them, what of them counts, and that no key is ever of two sums."""

import stat
from pathlib import Path

import pytest

from dpplan.mechanism import Gaussian, TreeAggregation
from dpplan.plan import Phase
from dpplan.sampling import Poisson, Shuffle
from dpplan.train.state import run_keys
from dpplan.train.state.run_keys import NOISE_LOST, RunKeys

KEY = "0123456789abcdef" * 2


@pytest.mark.posix
def test_only_their_owner_reads_them(tmp_path: Path) -> None:
    keys = RunKeys(tmp_path)
    keys.keep_draws(KEY)
    keys.noise_from(0, resumed=False, kept=True)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("draws.key", "noise.key")} == {0o600}


def test_a_run_that_goes_on_draws_from_a_new_key_and_knows_those_before_its_first_step(tmp_path: Path) -> None:
    keys = RunKeys(tmp_path)
    first = keys.noise_from(0, resumed=False, kept=True)
    second = keys.noise_from(3, resumed=True, kept=True)
    assert keys.noise == second and second[:1] == first and [start for start, _ in second] == [0, 3]
    again = keys.noise_from(3, resumed=True, kept=True)  # what the first try from step 3 on drew is of another sum
    assert [start for start, _ in again] == [0, 3] and again[0] == first[0] and again[1] != second[1]
    assert len({key for each in (second, again) for _, key in each}) == 3
    assert keys.noise_from(2, resumed=True, kept=False)[:-1] == first and keys.noise == again
    anew = keys.noise_from(4, resumed=False, kept=True)  # none of another run's
    assert keys.noise == anew and [start for start, _ in anew] == [4]


@pytest.mark.parametrize(
    ("starts", "known"), [((), True), ((3,), True), ((3, 7), True), ((3, 5), False), ((5,), False)]
)
def test_noise_is_known_where_every_session_left_its_key(starts: tuple[int, ...], known: bool, tmp_path: Path) -> None:
    keys = RunKeys(tmp_path)
    (tmp_path / "noise.key").write_text("".join(f"{start} {KEY}\n" for start in (0, 3, 7)))
    assert keys.noise_known(starts) is known
    (tmp_path / "noise.key").write_text("".join(f"{start} {KEY}\n" for start in (3, 5, 7)))
    assert not keys.noise_known(starts)  # the first session's is gone


@pytest.mark.parametrize(
    "kept", [f"0 {KEY}\n3 {KEY[:5]}", f"0 {KEY}", f"0 {KEY}\n\n", f"0 {KEY}0\n", f"-1 {KEY}\n", ""]
)
def test_noise_that_is_not_whole_is_none(kept: str, tmp_path: Path) -> None:
    (tmp_path / "noise.key").write_text(kept)
    assert RunKeys(tmp_path).noise == () and not RunKeys(tmp_path).noise_known(())


@pytest.mark.parametrize("kept", [KEY[:31], f"{KEY}0", f"{KEY}\n", "g" * 32, ""])
def test_draws_that_are_not_whole_are_none(kept: str, tmp_path: Path) -> None:
    (tmp_path / "draws.key").write_text(kept)
    assert RunKeys(tmp_path).draws is None


def test_a_run_goes_on_only_with_what_its_steps_share(tmp_path: Path) -> None:
    keys, order = RunKeys(tmp_path), Shuffle(4, "once")
    tied, alone = (Phase(mechanism, order, 8) for mechanism in (TreeAggregation(2.0), Gaussian(2.0)))
    assert run_keys.tied(tied) and not run_keys.tied(alone)
    assert keys.missing(alone) is not None and keys.missing(Phase(Gaussian(2.0), Poisson(0.1), 8)) is None
    keys.keep_draws(KEY)
    assert keys.draws == KEY and keys.missing(alone) is None and keys.missing(tied) == NOISE_LOST
    keys.noise_from(0, resumed=False, kept=True)
    assert keys.missing(tied) is None


def test_what_is_forgotten_is_gone_with_what_a_write_left_behind(tmp_path: Path) -> None:
    keys = RunKeys(tmp_path)
    keys.keep_draws(KEY)
    keys.noise_from(0, resumed=False, kept=True)
    for name in (".draws.key.x", ".noise.key.x"):  # as a process that is killed while it writes leaves them
        (tmp_path / name).write_text(KEY)
    keys.forget()
    assert list(tmp_path.iterdir()) == []
    keys.forget()
