"""What was probably meant by a text that is no number, as a sentence that says what to type.

    how_to_write("60k")     # "Write 60000."
    how_to_write("many")    # ""

Nothing is read here in place of a person: a number that has to be guessed is refused, and the guess is the remedy.
"""

import math
import re

# Hyphens, dashes and minus signs that are not the one on a keyboard.
DASHES = "‐‑‒–—―−﹘﹣－"
_QUOTES = "'\"`´‘’‚“”„«»"
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUFFIXES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mio": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9, "g": 1e9}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:([,'’_. ])\d{3})(?:\1\d{3})*")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:\.\d{3})+,\d+)")  # with a decimal mark of its own
_LAKHS = re.compile(r"(?=.*,0)\d{1,2}(?:,\d{2})+,\d{3}")  # 12,00,000; without a group of 0 first it may be a list
MOST_READ = 400  # characters: to look for a spelling takes as their square, and seconds of thousands
LONGEST = 40  # of what is shown of a text that is no number
_RANGE = "One number belongs here; ranges are for dpplan frontier, and --from and --to for dpplan curve."
_SEVERAL = "One number belongs here."
_EPSILONS = re.compile(r"(?:.*[^a-z])?eps(?:ilon)?(?:_?0)?")  # names of figures that are no share: max_eps, not steps
_NO_SHARE = "ε is no percentage: an outcome may become up to e^ε times as likely. Write a number such as 3."


def how_to_write(text: str, whole: bool = False, name: str = "") -> str:
    """A sentence with what to type in place of the text, "" where nobody can tell. whole: a count was asked for. name:
    of the setting, where it is known: an ε is no percentage."""
    if isinstance(text, Unread):
        return text.remedy
    if len(text) > MOST_READ:
        return ""
    if whole and (doubt := doubtful_count(text)):
        return doubt
    plain = text.strip().strip(_QUOTES).translate(_POWERS)
    if ":" in plain.rstrip(":"):
        return _RANGE
    plain = dashes_replaced(plain)
    plain = re.sub(r"^(?:[a-zσδεq_-]+\s*=\s*|[=~≈<>≤≥]+\s*)", "", plain, flags=re.IGNORECASE).rstrip(".,;: ")
    if _LAKHS.fullmatch(plain):
        return f"Write {plain.replace(',', '')}."
    if is_list(plain):
        return _SEVERAL
    if re.fullmatch(r"\d{2,}-\d{2,}", plain) and not _power(plain):
        return f"A range is written {plain.replace('-', ':')}, and dpplan frontier takes one."
    plain = _without_thousands(re.sub(r"\s+", " ", plain), whole).replace(" ", "")
    if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", plain):
        return f"Write {plain.replace(',', '')}, or {plain.replace(',', '.')}: the comma may be either."
    plain = re.sub(r"(?<=\d),(?=\d)|^,(?=\d)", ".", plain)
    if _percentage(plain) and _EPSILONS.fullmatch(name):
        return _NO_SHARE
    if name == "epochs" and (said := re.fullmatch(rf"({_NUMBER})%", plain)):
        return f"Epochs are a number of passes over the data, and no share. Write {said[1]}, if so many are meant."
    share = "" if whole else _percentage(plain)  # nor is a count
    found = next((read for read in (_power(plain), share, _fraction(plain), _suffixed(plain)) if read), "")
    if not found and re.fullmatch(_NUMBER, plain) and plain != text:
        found = f"0{plain}" if plain.startswith(".") else plain
    if whole and found and not float(found).is_integer():  # a third is no count, however it is written
        return ""
    return f"Write {found}." if found else ""


class Unread(str):
    """A text that is no number and that is already known to be meant for something else."""

    __slots__ = ("remedy",)
    remedy: str

    @classmethod
    def because(cls, text: str, remedy: str) -> "Unread":
        made = cls(text)
        made.remedy = remedy
        return made


def dashes_replaced(text: str) -> str:
    """With a hyphen for every dash and minus sign."""
    return re.sub(f"[{DASHES}]", "-", text)


def doubtful_count(text: str) -> str:
    """A sentence for a count with a point that may separate thousands, "60.000"; "" for any other text. Whatever
    Python reads as digits is one here."""
    found = re.fullmatch(r"\+?(\d{1,3})\.(\d{3})", text.strip())
    if found is None or int(found[1]) == 0 or found[1].startswith("0"):
        return ""
    before, after = int(found[1]), f"{int(found[2]):03d}"
    if after == "000":
        return f"It may be {before} or {before}000: write one of these."
    return f"Write {before}{after}, if the point separates thousands."


def doubtful_batch(text: str) -> str:
    """The same of an expected batch below 100, which need not be whole: "1.024", which with one more 0 is no doubt. Of
    larger ones three digits may well be meant, as of Opacus's n / ⌈n / 256⌉ = 255.319, but not three zeros."""
    doubt = doubtful_count(text)
    doubt = doubt if doubt.startswith("It") or re.match(r"\s*\+?\d{1,2}\.", text) else ""
    return doubt.replace(".", f", or {text.strip()}0.") if doubt.startswith("Write") else doubt


def shortened(text: str) -> str:
    """The text, or its beginning where it is too long for a sentence."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}... ({len(text)} characters)"


def is_list(text: str) -> bool:
    """Whether several numbers stand there, by marks that no single number has."""
    items = re.split(r"\s*[;|]\s*|,\s+|,", text)
    grouped = _THOUSANDS.fullmatch(text) or _GROUPED.fullmatch(text)
    if len(items) < 2 or grouped or not all(re.fullmatch(_NUMBER, item) for item in items):
        return False
    return len(items) > 2 or not re.fullmatch(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", text)


def _without_thousands(text: str, whole: bool) -> str:
    """Without what stands between thousands; a single comma or point stays unless a whole number was asked for."""
    head = re.match(r"[+-]?\d{1,3}(?:,\d{3})+(?=\.\d)", text)
    if head:
        return text.replace(",", "")
    if re.match(r"[+-]?\d{1,3}(?:\.\d{3})+,\d", text):
        return text.replace(".", "").replace(",", ".")
    found = _THOUSANDS.match(text)
    if found is None or found.end() < len(text.rstrip("kKmMbBgG% ")):
        return text
    mark, number = found[1], found[0]
    if number.startswith("0") or (mark in ",." and number.count(mark) == 1 and not (whole and mark == ",")):
        return text
    return number.replace(mark, "") + text[found.end() :]


def _power(text: str) -> str:
    """10^-5, 1x10^-5, 10⁻⁵, 2**16."""
    found = re.fullmatch(rf"(?:({_NUMBER})[*x×·])?(\d+)(\^|\*\*|(?=-))([+-]?\d{{1,3}})", text)
    if found is None:
        return ""
    factor, base, exponent = found[1] or "1", int(found[2]), int(found[4])
    if base == 10:
        return f"{factor}e{exponent}"
    return _plain(float(factor) * float(base) ** exponent) if found[3] and abs(exponent) < 64 and base < 1000 else ""


def _percentage(text: str) -> str:
    found = re.fullmatch(rf"({_NUMBER})%", text)
    return "" if found is None else f"{float(found[1]) / 100:.12g}, the fraction"


def _fraction(text: str) -> str:
    found = re.fullmatch(rf"({_NUMBER})/({_NUMBER})", text)
    if found is None or float(found[2]) == 0:
        return ""
    quotient = float(found[1]) / float(found[2])
    return f"{quotient:.6g}" if math.isfinite(quotient) and quotient != 0 else ""


def _suffixed(text: str) -> str:
    """60k, 1.2M."""
    found = re.fullmatch(rf"({_NUMBER})({'|'.join(_SUFFIXES)})", text, re.IGNORECASE)
    return "" if found is None else _plain(float(found[1]) * _SUFFIXES[found[2].lower()])


def _plain(value: float) -> str:
    if not math.isfinite(value) or value == 0:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
