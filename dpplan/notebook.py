"""What a notebook shows of a result: a small HTML table, from the result's own words.

A result has `_repr_html_`, which IPython and Jupyter look for, and makes it with `table`. Figures come in as text,
rounded to the safe side; nothing is rounded here.
"""

import html
from collections.abc import Iterable, Sequence

Row = Sequence[object]
_LEFT = ' style="text-align:left"'


def table(title: str, rows: Iterable[Row], heads: Row = ()) -> str:
    """An HTML table under a title. heads: of the columns, where they need any. All text is escaped."""
    head = f"<tr>{''.join(f'<th{_LEFT}>{html.escape(str(each))}</th>' for each in heads)}</tr>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td{_LEFT}>{html.escape(str(each))}</td>' for each in row)}</tr>" for row in rows)
    return f"<table><caption{_LEFT}><b>{html.escape(title)}</b></caption>{head}{body}</table>"
