"""The trade-off as a picture: drawn the same every time, with the curve that was proven."""

import re
from pathlib import Path

import pytest

from dpplan.plot import image_file
from dpplan.plot import risk as plot
from dpplan.risk.source import source_of_gdp
from dpplan.risk.trade_off import TradeOff


@pytest.mark.slow
def test_a_trade_off_is_drawn_with_its_names_and_the_same_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(image_file._STYLE, "svg.fonttype", "none")
    found = TradeOff(source_of_gdp(1.0))
    plot.draw(found, (3.0, 1e-5), tmp_path / "a.svg")
    plot.draw(found, (3.0, 1e-5), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    said = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert "the most any attacker reaches: μ = 1 and nothing else (upper)" in said
    assert {"guessing", "proven", "(ε, δ) = (3, 1e-05) alone"} <= set(said)
    plot.draw(found, None, tmp_path / "c.svg")
    assert ") alone" not in (tmp_path / "c.svg").read_text(encoding="utf-8")
