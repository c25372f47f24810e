"""A run for users: three ways, the counts of a file, and how many examples a target pays for."""

import math
from pathlib import Path

import pytest

from dpplan import accounting, compare
from dpplan.accounting.bound import Guarantee
from dpplan.compare.units import counted, units
from dpplan.errors import NotApplicable, PlanError, Unreachable, UsageError
from dpplan.plan import Plan, Settings, resolve_delta
from dpplan.render import compare_units as render
from dpplan.render import solve_max_per_user
from dpplan.render.table import plain
from dpplan.solve.max_per_user import max_per_user

RUN = Settings(noise_multiplier=2.0, sample_rate=0.01, steps=20)


@pytest.fixture(scope="module")
def found() -> compare.UnitComparison:
    """With at most three examples of a user."""
    return compare.units(RUN, 1e-6, 3)


def test_three_ways_to_protect_a_user(found: compare.UnitComparison) -> None:
    group, one_by_one, whole = (row.bound for row in found.rows)
    assert group is not None and one_by_one is not None and whole is not None
    assert whole.value == found.example.value < one_by_one.value < group.value
    assert group.guarantee is Guarantee.UPPER and group.lower is None
    assert one_by_one.value == accounting.epsilon(RUN.with_(unit="user", max_per_user=3).plan(), 1e-6).value
    text = "\n".join(plain(render.table(found)))
    assert "3 of a user" in text and "one by one" in text


def test_group_privacy_is_its_formula(found: compare.UnitComparison) -> None:
    group = found.rows[0].bound
    assert group is not None and group.upper is not None
    each = group.upper / 3
    factor = math.expm1(3 * each) / math.expm1(each)
    spent = accounting.delta(RUN.plan(), each).value
    assert spent * factor == pytest.approx(1e-6, rel=1e-4) and spent * factor <= 1e-6 * (1 + 1e-6)


def test_users_are_counted_and_called_private(found: compare.UnitComparison, tmp_path: Path) -> None:
    file = tmp_path / "ratings.csv"
    file.write_text("user,stars\na,1\na,2\nb,3\na,5\nc,1\n", encoding="utf-8")
    counts = counted(file, "user")
    assert counts.most == 3 and counts.quantile(0.5) == 1 and counts.kept(2) == pytest.approx(0.8)
    assert any("private" in line for line in render.user_rows(counts, 2))
    content = render.document(found, counts)
    assert content["users"]["most"] == 3 and "private" in content["users"]["private"]
    (tmp_path / "tabs.csv").write_text("user\tstars\na\t1,5\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"tabs\.csv:user: cells are separated by tabs, and have to be by commas\."):
        counted(tmp_path / "tabs.csv", "user")
    with pytest.raises(UsageError, match=r"no such column\. Those of the file: user, stars"):
        counted(file, "users")
    with pytest.raises(UsageError, match="No such file"):
        counted(tmp_path / "none.csv", "user")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,user\na,1\na,2\n", "the first line has this column 2 times"),
        ("user, user\na,1\na,2\n", "the first line has this column 2 times"),
        ('user,x\na\n"unclosed,2\nb,3\nb,4\n', "u.csv:2: has 1 cells under 2 columns"),
        ('user,x\na,1\n"unclosed,2\nb,3\nb,4\n', "cannot be read as CSV: unexpected end of data.*a quote open"),
        ('user,x\na,1\nb,"unclosed\nb,4\n', "cannot be read as CSV: unexpected end of data"),
        ('user,x\n"a\nb",1\n', "holds several lines"),
        ("user,x\na,1,2\n", "u.csv:2: has 3 cells under 2 columns"),
        ("user,x\na,1\n ,2\n", "u.csv:3: user='' names nobody"),
        ("user,x\nNA,1\nNA,2\n", "u.csv:2: user='NA' names nobody"),
        ("user,x\na," + "y" * 200_000 + "\n", "u.csv:2: cannot be read as CSV: field larger than"),
    ],
)
def test_a_row_that_may_be_anothers_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """K would be too small for a user whose rows are lost."""
    (tmp_path / "u.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        counted(tmp_path / "u.csv", "user")


def test_one_name_is_one_user_however_it_is_spelled(tmp_path: Path) -> None:
    text = 'x, user \n1,  a\n2,a\n3,"a "\n4,m\u00fcller\n5,mu\u0308ller\n\n6,b\n'
    (tmp_path / "u.csv").write_text(text, encoding="utf-8")
    assert sorted(counted(tmp_path / "u.csv", "user").counts) == [1, 2, 3]


def test_the_most_examples_that_a_target_pays_for() -> None:
    found = max_per_user(RUN, 1.0, 1e-6)
    assert found.spent.value <= 1.0 and found.above is not None and found.above.value > 1.0
    assert found.plan.max_per_user == found.value
    with pytest.raises(Unreachable, match="one example of each user costs"):
        max_per_user(RUN, 0.01, 1e-6)
    with pytest.raises(PlanError, match="max_per_user=3 is given"):
        max_per_user(RUN.with_(unit="user", max_per_user=3), 1.0, 1e-6)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("most", [6, 100])
def test_no_user_has_more_examples_than_there_are(most: int) -> None:
    few = Settings(noise_multiplier=2.0, examples=5, batch_size=2, steps=10, unit="user", max_per_user=most)
    phase = few.with_(max_per_user=5).plan().only_phase
    with pytest.raises(PlanError, match=f"max_per_user={most} is more than n=5"):
        few.plan()
    with pytest.raises(PlanError, match=f"max_per_user={most} is more than n=5"):
        Plan((phase,), privacy_unit="user", examples=5, max_per_user=most)
    with pytest.raises(PlanError, match=f"max_per_user={most} is more than n=5"):
        units(few.with_(unit="example", max_per_user=None), 1e-3, most)


def test_the_most_of_a_user_is_looked_for_up_to_n() -> None:
    found = max_per_user(Settings(noise_multiplier=2.0, examples=5, batch_size=2, steps=10), 1e4, 1e-3)
    assert found.value == 5 and found.above is None


def test_more_examples_of_a_user_than_are_answered_in_seconds_are_refused() -> None:
    many = Settings(noise_multiplier=2.0, sample_rate=0.01, steps=10, unit="user", max_per_user=10**6)
    with pytest.raises(NotApplicable, match="max_per_user=1000000 is more than 1024"):
        accounting.epsilon(many.plan(), 1e-6)
    assert (
        accounting.epsilon(many.with_(sample_rate=1.0, noise_multiplier=1e7).plan(), 1e-6).value < 5
    )  # in one formula


@pytest.mark.slow
def test_full_batches_take_as_many_examples_of_a_user_as_the_target_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the number that a mixture of Gaussians answers: there each is one Gaussian."""
    found = max_per_user(Settings(noise_multiplier=1e4, sample_rate=1.0, steps=10), 500.0, 1e-5)
    assert found.value == 87510 and found.above is not None and found.above.value > 500.0 >= found.spent.value
    monkeypatch.setattr("dpplan.solve.max_per_user.MOST_MEMBERS", 4)
    earlier = Plan.from_rate(1e4, 0.01, 1).phases  # a mixture of as many Gaussians, whatever follows it
    assert max_per_user(Settings(noise_multiplier=1e4, sample_rate=1.0, steps=10), 500.0, 1e-5, earlier).value == 4
    few = Settings(noise_multiplier=1e4, examples=50, batch_size=50, steps=10)
    for settings, why in ((few, "there are no more examples"), (few.with_(examples=None, batch_size=None,
                          sample_rate=0.01), "more are not looked for")):  # fmt: skip
        found = max_per_user(settings, 500.0, 1e-5)
        assert found.value == found.most and found.above is None
        assert list(solve_max_per_user.lines(found, resolve_delta(1e-5, None)))[-1].endswith(f"none: {why}")
