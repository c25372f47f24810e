"""Words in place of what a stream cannot write."""

import io
import os
import sys

import click
import pytest

from dpplan.render import plain_words
from dpplan.render.help import TOPICS
from dpplan.render.plain_words import aligned, in_words


def test_symbols_become_words_only_where_they_cannot_be_written() -> None:
    assert in_words("ε ≤ 1 at δ, σ × √2", "ascii") == "eps <= 1 at delta, sigma x sqrt 2"
    assert in_words("ε × 2", "latin-1") == "eps × 2"
    assert in_words("ε × 2", "utf-8") == "ε × 2"


@pytest.mark.parametrize("line", ["  σ = 1.1        q = 0.01", "ε = 2.38 at δ = 1e-05          certified: 2.37 ≤ ε"])
def test_columns_stay_where_they_were(line: str) -> None:
    found = aligned(line, "ascii")
    assert found.isascii()
    for word in ("q = 0.01", "certified"):
        if word in line:
            assert found.index(word) == line.index(word)


def test_a_stream_writes_words_and_never_fails() -> None:
    plain_words.register()
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    plain_words.write_words(stream)
    click.echo("ε ≤ 1 雨", file=stream)
    stream.flush()
    assert raw.getvalue() == b"eps <= 1 \\u96e8" + os.linesep.encode()
    assert in_words("§4 雨", stream.encoding) == "Sec. 4 \\u96e8"


@pytest.mark.parametrize("topic", ["units", "certificate", "recipes", "accountants"])
def test_topics_of_help_are_aligned_and_no_wider_where_there_are_words(
    topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    lines = [aligned(line, "ascii") for line in TOPICS[topic].lines()]
    assert max(map(len, lines)) <= 80
    assert "".join(lines).isascii()
    options = [line.index("--") for line in lines if topic == "units" and line.strip().startswith(("sigma  -", "q "))]
    assert len(set(options)) <= 1
