"""The templates of a page: whatever goes into them is text, whoever wrote it, and stays what it is in the page.

jinja2 is imported here and nowhere else, when a page is written.
"""

import functools
import re
from typing import TYPE_CHECKING, Any

from dpplan.errors import MissingExtra
from dpplan.visible_text import visible
from dpplan.yaml_numbers import yaml_number

if TYPE_CHECKING:
    from jinja2 import Template

# What means something in Markdown wherever it stands, in CommonMark and in what GitHub adds to it, mathematics between
# dollars among that; an underscore between letters or digits does not.
_MARKS = re.compile(r"[\\`*\[\]#~|$]|(?<![^\W_])_|_(?![^\W_])")
_NUMBERED = re.compile(r"(\d{1,9})([.)](?:\s|$))")


def template(name: str) -> "Template":
    """The template of a page; one in Markdown escapes all that is put into it by itself. Raises MissingExtra."""
    return _environments()[".md" in name].get_template(name)


@functools.cache
def _environments() -> "dict[bool, Any]":
    """Whether it is Markdown -> what makes its template."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtra("dpplan report", "report") from None
    made = {
        markdown: Environment(
            loader=PackageLoader("dpplan.report"),
            autoescape=not markdown,
            finalize=_in_markdown if markdown else _in_html,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for markdown in (True, False)
    }
    made[True].filters["yaml"] = _YamlNumber
    return made


class _YamlNumber(str):
    """A number that every reader of YAML takes for one, and that is not text to be escaped."""

    def __new__(cls, text: object) -> "_YamlNumber":
        return super().__new__(cls, yaml_number(str(text)))


def _in_html(value: Any) -> Any:
    """What jinja2 escapes afterwards; a picture, which is marked as safe, is left as it is."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _in_markdown(value: Any) -> Any:
    return value if isinstance(value, _YamlNumber) else escaped(str(value))


def escaped(text: str) -> str:
    """Text for a line or a cell of Markdown: one line, and neither markup, HTML nor a new column, whoever wrote it."""
    line = " ".join(visible(text).split())
    line = _MARKS.sub(r"\\\g<0>", line).replace("&", "&amp;").replace("<", "&lt;")
    line = _NUMBERED.sub(r"\1\\\2", line, count=1) if _NUMBERED.match(line) else line
    return f"\\{line}" if line[:1] in ("-", "+", "=", ">") else line
