"""Words for what a stream cannot write: eps, sigma and <= where there is no Greek and no mathematics.

register()                              # then a stream with errors="dpplan.words" writes words
in_words("ε ≤ 1", "latin-1")            # "eps <= 1"
"""

import codecs
import re
from collections.abc import Mapping
from types import MappingProxyType

ERRORS = "dpplan.words"  # the name of the way a stream handles what it cannot encode
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "ε": "eps",
        "δ": "delta",
        "σ": "sigma",
        "λ": "lambda",
        "μ": "mu",
        "µ": "mu",
        "ρ": "rho",
        "α": "alpha",
        "φ": "phi",
        "Φ": "Phi",
        "θ": "theta",
        "κ": "kappa",
        "ψ": "psi",
        "π": "pi",
        "Σ": "Sigma",
        "Δ": "Delta",
        "≤": "<=",
        "≥": ">=",
        "≈": "~",
        "≠": "!=",
        "×": "x",
        "·": ".",
        "√": "sqrt ",
        "⌈": "ceil(",
        "⌉": ")",
        "−": "-",
        "–": "-",
        "—": "-",
        "→": "->",
        "…": "...",
        "∞": "inf",
        "±": "+-",
        "‖": "|",
        "ℓ": "l",
        "₀": "0",
        "₁": "1",
        "₂": "2",
        "₊": "+",
        "ᵢ": "_i",
        "²": "^2",
        "⁻": "^-",
        "⁺": "+",
        "ᵀ": "^T",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "─": "-",
        "│": "|",
        "├": "|",
        "└": "|",
        "é": "e",
        "ä": "a",
        **dict.fromkeys("█▉▊▋▌", "#"),
        **dict.fromkeys("▍▎▏", "-"),
    }
)


def register() -> None:
    """Makes ERRORS known to Python's codecs."""
    codecs.register_error(ERRORS, _replaced)


def can_write(encoding: str | None, text: str = "εσδ≤≥≈×√⌈█") -> bool:
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def in_words(text: str, encoding: str | None) -> str:
    """The text, each character that the encoding lacks as a word."""
    if can_write(encoding, text):
        return text
    return "".join(each if can_write(encoding, each) else WORDS.get(each, each) for each in text)


def aligned(line: str, encoding: str | None) -> str:
    """The same for a line with columns: what words add is taken from the next gap, which keeps two spaces."""
    if can_write(encoding, line):
        return line
    found: list[str] = []
    longer = 0
    for piece in re.split(r"( {3,})", line):
        if piece.isspace() and found:
            room = max(min(longer, len(piece) - 2), 0)
            found.append(" " * (len(piece) - room))
            longer -= room
        else:
            words = in_words(piece, encoding)
            found.append(words)
            longer += len(words) - len(piece)
    return "".join(found)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    pieces = (WORDS.get(each) or each.encode("ascii", "backslashreplace").decode() for each in _lacking(error))
    return "".join(pieces), error.end


def _lacking(error: UnicodeEncodeError) -> str:
    return error.object[error.start : error.end]
