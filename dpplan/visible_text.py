"""Text of a user's, with whatever nobody would see in it written out.

Controls move a terminal's cursor and set its colours (ESC), and those of writing direction (U+202E) show a line in
another order than it has: with either a text says to the eye what it does not say.
"""

import re
from collections.abc import Callable

# C0 and C1 controls without tab and newline; line and paragraph separators; what sets the direction of writing, which
# letters that are written from right to left do not need; what takes no room, and letters that are blank; notes between
# lines; tags, which say a text in characters that nobody sees; halves of characters, which no file can hold. Joiners
# and selectors stay: letters and emoji are made with them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U0001d173-\U0001d17a"
    "\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text, each character in it that cannot be seen as \\u and its number: \\u202e. Tabs and newlines stay.

    A number of more than four digits is written with eight, after \\U.
    """
    return _written_out(text, lambda number: f"\\U{number:08x}")


def visible_json(text: str) -> str:
    """The same of a JSON document, which says the same afterwards: large numbers as two halves, as JSON has them."""
    return _written_out(text, lambda number: "".join(f"\\u{half:04x}" for half in _halves(number)))


def _written_out(text: str, large: Callable[[int], str]) -> str:
    if text.isascii() and text.isprintable():
        return text

    def written(found: re.Match[str]) -> str:
        number = ord(found[0])
        return large(number) if number > 0xFFFF else f"\\u{number:04x}"

    return _UNSEEN.sub(written, text.replace("\r\n", "\n"))


def _halves(number: int) -> tuple[int, int]:
    high, low = divmod(number - 0x10000, 0x400)
    return 0xD800 + high, 0xDC00 + low
