"""Pictures: they are drawn, the same every time, and their names do not overlap."""

import builtins
import dataclasses
import itertools
import re
import struct

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpplan import accounting, compare
from dpplan.curve import Curves
from dpplan.errors import MissingExtra, UsageError
from dpplan.plan import Plan
from dpplan.plot import curves as plot
from dpplan.plot import image_file


@pytest.fixture(scope="module")
def data():
    return compare.curves(Plan.from_rate(4, 0.01, 40000), 1e-5, points=4)


@pytest.fixture(scope="module")
def full_batch():
    return compare.curves(Plan.from_rate(4, 1, 20), 1e-5, points=4)


@pytest.fixture
def texts(monkeypatch):
    """Draws with letters left as text, and returns what an SVG file says."""
    monkeypatch.setitem(image_file._STYLE, "svg.fonttype", "none")

    def read(data, path):
        plot.draw(data, path)
        return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())

    return read


def test_svg_names_axes_units_assumptions_and_every_line(data, tmp_path, texts):
    found = texts(data, tmp_path / "out.svg")
    for text in ("length of training (epochs)", "privacy spent, ε (nats)", "σ = 4, q = 0.01, δ = 1e-05"):
        assert text in found
    for name in ("exact", "rdp", "moments", "optimal", "advanced", "basic", "gdp (estimate)"):
        assert name in found


def test_an_axis_of_factors_begins_at_the_least_value_and_not_where_an_interval_does(monkeypatch, tmp_path):
    run = Plan.from_rate(1, 0.01, 10)
    found = accounting.epsilon(run, 1e-5)
    ends = ((9.0, 10.0), (0.9, 1.0), (1e-9, 1e-3))
    bounds = tuple(dataclasses.replace(found, lower=lower, upper=upper) for lower, upper in ends)
    below, cut = [], plot._cut_to_readable

    def noted(axes, *given):
        cut(axes, *given)
        below.append(axes.get_ylim()[0])

    monkeypatch.setattr(plot, "_cut_to_readable", noted)
    plot.draw(Curves("sigma", (1.0, 10.0, 100.0), {"exact": bounds}, 1e-5, (run,) * 3), tmp_path / "out.svg")
    assert 1e-4 < below[0] < 1e-3


def test_an_accountant_that_refused_everywhere_has_no_line(data, tmp_path, texts):
    assert "zcdp" not in texts(data, tmp_path / "out.svg")


def test_gdp_is_no_estimate_without_sampling(full_batch, tmp_path, texts):
    found = texts(full_batch, tmp_path / "out.svg")
    assert "gdp" in found
    assert "zcdp" in found
    assert not any("estimate" in text for text in found)


@pytest.mark.slow
def test_the_same_data_give_the_same_bytes_and_no_date(data, tmp_path):
    for suffix in image_file.FORMATS:
        first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
        plot.draw(data, first)
        plot.draw(data, second)
        assert first.read_bytes() == second.read_bytes()
    assert "<dc:date>" not in (tmp_path / "first.svg").read_text()


def test_the_users_own_style_changes_nothing_and_is_left_alone(data, tmp_path):
    plot.draw(data, tmp_path / "plain.svg")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.grid": True}):
        plot.draw(data, tmp_path / "styled.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "styled.svg").read_bytes()


def test_png_is_80_mm_wide_at_300_dots_per_inch(data, tmp_path):
    path = tmp_path / "OUT.PNG"
    plot.draw(data, path)
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == pytest.approx((80 / 25.4 * 300, 60 / 25.4 * 300), abs=1)


def test_one_point_is_drawn_as_a_dot(tmp_path, texts):
    assert "exact" in texts(compare.curves(Plan.from_rate(4, 1, 1), 1e-5), tmp_path / "out.svg")


def test_an_epsilon_of_zero_has_no_place_on_a_logarithmic_axis_but_does_no_harm(tmp_path, texts):
    data = compare.curves(Plan.from_rate(2, 1e-9, 10), 1e-5, points=2)
    assert texts(data, tmp_path / "out.svg")


@pytest.mark.parametrize("name", ["out.gif", "out", "out.jpeg"])
def test_another_ending_is_refused(data, tmp_path, name):
    with pytest.raises(UsageError, match=r"does not end in \.svg, \.png or \.pdf"):
        plot.draw(data, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_the_users_to_fix(data, tmp_path):
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        plot.draw(data, tmp_path / "missing" / "out.svg")


def test_without_matplotlib_the_extra_is_named(data, tmp_path, monkeypatch):
    plain = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"dpplan\[plot\]"):
        plot.draw(data, tmp_path / "out.svg")


@given(st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=10), st.floats(0, 0.2))
def test_spread_keeps_the_order_and_the_distance(wanted, distance):
    found = plot.spread(sorted(wanted), distance, 0.0, 1.0)
    gaps = [right - left for left, right in itertools.pairwise(found)]
    assert all(gap >= distance - 1e-9 for gap in gaps)
    assert found[0] >= 0
    if distance * (len(wanted) - 1) <= 1:
        assert found[-1] <= 1 + 1e-9


def test_spread_leaves_alone_what_is_apart_and_moves_the_rest_evenly():
    assert plot.spread([0.1, 0.5, 0.9], 0.1, 0.0, 1.0) == pytest.approx([0.1, 0.5, 0.9])
    assert plot.spread([0.5, 0.5, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.4, 0.5, 0.6])
