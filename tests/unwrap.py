"""Messages as sentences again: what was folded at 80 columns is joined, so that tests can look for a whole sentence."""

WIDTH = 80


def unwrapped(text: str) -> str:
    """The text with a line joined to the one before where it begins two further in and had no room there."""
    lines: list[str] = []
    last, base = "", 0
    for line in text.splitlines():
        words = line.split(maxsplit=1)
        indent = len(line) - len(line.lstrip())
        if words and lines and indent == base + 2 and len(last) + 1 + len(words[0]) > WIDTH:
            lines[-1] = f"{lines[-1]} {line.lstrip()}"
        else:
            lines.append(line)
            base = indent
        last = line
    return "".join(f"{line}\n" for line in lines)
