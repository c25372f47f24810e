"""Plans side by side: figures, differences, winners."""

import dataclasses
import math
from typing import Any

import pytest

from dpplan import accounting, compare
from dpplan.adjacency import ZERO_OUT
from dpplan.compare.plans import PlanEntry, comparable
from dpplan.errors import UsageError
from dpplan.plan import Delta, Plan, Settings
from dpplan.render import compare_plans as render
from dpplan.render.table import plain


def plan(sigma: float = 2.0, batch: float = 100, epochs: float = 3) -> Plan:
    return Settings(noise_multiplier=sigma, examples=5000, batch_size=batch, epochs=epochs).plan()


QUIET = PlanEntry("quiet", plan(sigma=4.0), Delta(1e-5), {"training": {"epochs": 3, "ema": None}, "runtime": {"x": 1}})
LARGE = PlanEntry("large", plan(batch=400), Delta(1e-6), {"training": {"epochs": 3, "views": 2}, "runtime": {"x": 2}})
RESULT = compare.plans([QUIET, LARGE], ignored=("runtime",))


def test_all_are_compared_at_the_smallest_delta_and_shown_at_their_own() -> None:
    assert RESULT.delta == 1e-6
    for entry, delta in zip(RESULT.plans, (1e-5, 1e-6), strict=True):
        assert entry.epsilon == accounting.epsilon(entry.entry.plan, delta)
        assert entry.compared == accounting.epsilon(entry.entry.plan, 1e-6)


def test_compute_and_noise_are_those_of_the_plan() -> None:
    quiet, large = RESULT.plans
    assert quiet.compute == pytest.approx(150 * 100)
    assert quiet.noise == pytest.approx(4 / 100)
    assert large.noise == pytest.approx(2 / 400)
    assert large.averaged_noise == pytest.approx(2 / (400 * math.sqrt(38)))


def test_every_view_of_an_example_is_processed() -> None:
    doubled = compare.plans([QUIET, dataclasses.replace(QUIET, name="views", views=2)])
    assert doubled.plans[1].compute == 2 * (doubled.plans[0].compute or 0) > 0
    assert doubled.winners["compute"] == ("quiet",)


def test_winners_are_named_for_each_criterion() -> None:
    assert RESULT.winners == {"epsilon": ("quiet",), "compute": ("quiet",), "noise": ("large",)}


def test_equals_win_together() -> None:
    same = compare.plans([QUIET, dataclasses.replace(QUIET, name="again")])
    assert set(same.winners.values()) == {("quiet", "again")}
    assert same.differences == ()
    shown = plain(render.table(same))
    assert not any("*" in line for line in shown), "no star, and no word of what one would mean"


def test_nobody_wins_on_what_is_not_known_of_all() -> None:
    unknown = PlanEntry("rate", Plan.from_rate(2.0, 0.01, 10), Delta(1e-5))
    result = compare.plans([QUIET, unknown])
    assert result.winners["compute"] == result.winners["noise"] == ()
    assert result.winners["epsilon"] != ()
    assert "compute: not every plan says how many examples it has." in list(render.sentences(result))


@pytest.mark.parametrize("change", [{"adjacency": ZERO_OUT}, {"unit": "user"}, {"unit": "user", "max_per_user": 2}])
def test_nobody_wins_on_epsilon_where_figures_protect_different_things(change: dict[str, Any]) -> None:
    """An ε for one example is not less than a larger one for a user of many."""
    settings = Settings(noise_multiplier=2.0, examples=1000, batch_size=100, epochs=3)
    given = [settings.plan(), settings.with_(**change).plan()]
    result = compare.plans([PlanEntry(name, each, Delta(1e-5)) for name, each in zip("ab", given, strict=True)])
    assert not comparable(given) and result.winners["epsilon"] == () and comparable(given[:1] * 2)
    assert any("promise different things" in sentence for sentence in render.sentences(result))
    assert not any("*" in sentence for sentence in render.sentences(result))
    assert result.winners["compute"] == ("a", "b")


def test_differences_are_those_of_what_is_not_ignored() -> None:
    assert [(one.key, one.values) for one in RESULT.differences] == [("training.views", (None, 2))]


def test_one_plan_or_one_name_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to compare it with"):
        compare.plans([QUIET])
    with pytest.raises(UsageError, match="names=quiet, quiet are not all different"):
        compare.plans([QUIET, QUIET])


def test_the_table_marks_winners_and_states_no_less_than_is_spent() -> None:
    rows = {cells[0].text: [cell.text for cell in cells[1:]] for cells in render.table(RESULT).rows}
    quiet, large = rows["ε at δ = 1e-06"]
    assert quiet.endswith(" *")
    assert not large.endswith("*")
    for text, entry in zip((quiet, large), RESULT.plans, strict=True):
        assert entry.compared.upper is not None
        assert entry.compared.upper <= float(text.split()[1]) <= 1.0001 * entry.compared.upper
    assert rows["δ"] == ["1e-05", "1e-06"]
    assert rows["training.views"] == ["-", "2"]
    assert max(map(len, plain(render.table(RESULT)))) <= 80


def test_at_one_delta_no_other_is_shown() -> None:
    other = dataclasses.replace(LARGE, delta=Delta(1e-5))
    names = [cells[0].text for cells in render.table(compare.plans([QUIET, other])).rows]
    assert names[0] == "ε at δ = 1e-05"


def test_sentences_say_who_wins_and_by_how_much() -> None:
    said = list(render.sentences(RESULT))
    assert said[0].startswith("* wins: the least ε at δ = 1e-06")
    assert said[2].startswith("compute: quiet with 15,000, the most is 1.01")
    assert said[3] == "noise: large with 0.005, the most is 8.000 times as much."


def test_json_has_the_figures_whole() -> None:
    content = render.document(RESULT)
    assert content["schema"] == "dpplan.compare-plans/1"
    assert content["plans"][0]["epsilon"]["upper"] == RESULT.plans[0].epsilon.upper
    assert content["winners"] == {"epsilon": ["quiet"], "compute": ["quiet"], "noise": ["large"]}
    assert content["differences"] == [{"key": "training.views", "values": [None, 2]}]
