"""Words for what a stream cannot write: eps, sigma and <= where there is no Greek and no mathematics.

register()                              # then a stream with errors="dpplan.words" writes words
in_words("ε ≤ 1", "latin-1")            # "eps <= 1"
"""

import codecs
import io
import re
import sys
from collections.abc import Mapping
from types import MappingProxyType

ERRORS = "dpplan.words"  # the name of the way a stream handles what it cannot encode
ASCII = "dpplan-ascii"  # ASCII by a name that click does not know, which writes UTF-8 into streams of ASCII
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
        "β": "beta",
        "γ": "gamma",
        "η": "eta",
        "τ": "tau",
        "ω": "omega",
        "ξ": "xi",
        "χ": "chi",
        "Π": "Pi",
        "Λ": "Lambda",
        "§": "Sec. ",
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
        "⌊": "floor(",
        "⌋": ")",
        "½": "1/2",
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
        "¹": "^1",
        "²": "^2",
        "³": "^3",
        "⁴": "^4",
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
    """Makes ERRORS and ASCII known to Python's codecs."""
    codecs.register_error(ERRORS, _replaced)
    codecs.register(_ascii)


def _ascii(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != ASCII:
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode,
        known.decode,
        known.streamreader,
        known.streamwriter,
        known.incrementalencoder,
        known.incrementaldecoder,
        name=ASCII,
    )


def write_words(stream: io.TextIOWrapper) -> None:
    """From now on this stream writes words for what it cannot encode. After `register`."""
    ascii_alone = codecs.lookup(stream.encoding).name == "ascii"
    stream.reconfigure(encoding=ASCII if ascii_alone else None, errors=ERRORS)


def can_write(encoding: str | None, text: str = "εσδ≤≥≈×√⌈█") -> bool:
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def in_words(text: str, encoding: str | None) -> str:
    """The text, each character that the encoding lacks as a word, or as its number where there is none."""
    if can_write(encoding, text):
        return text
    return "".join(each if can_write(encoding, each) else _word(each) for each in text)


def for_screen(text: str) -> str:
    """The text as standard output can write it: what is folded or aligned has to be so before it is measured."""
    return in_words(text, getattr(sys.stdout, "encoding", None))


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
    return "".join(map(_word, _lacking(error))), error.end


def _word(character: str) -> str:
    return WORDS.get(character) or character.encode("ascii", "backslashreplace").decode()


def _lacking(error: UnicodeEncodeError) -> str:
    return error.object[error.start : error.end]
