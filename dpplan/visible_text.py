"""Text of a user's, with whatever nobody would see in it written out.

Controls move a terminal's cursor and set its colours (ESC), and those of writing direction (U+202E) show a line in
another order than it has: with either a text says to the eye what it does not say.
"""

import re

# C0 and C1 controls without tab and newline; line and paragraph separators; what sets the direction of writing, which
# letters that are written from right to left do not need; what takes no room; halves of characters, which no file can
# hold.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text, each character in it that cannot be seen as \\u and its number: \\u202e. Tabs and newlines stay."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))
