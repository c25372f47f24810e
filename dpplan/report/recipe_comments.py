"""A recipe without its comments: people note accuracies and what they tried in them, which no ε covers."""


def without_comments(text: str) -> str:
    """The same YAML, without comments and the lines that held nothing else; what cannot be read is returned empty.

    A "#" within a scalar, quoted, plain or in a block, is none.
    """
    import yaml

    try:
        scalars = [(each.start_mark.index, each.end_mark.index) for each in yaml.scan(text)
                   if isinstance(each, yaml.ScalarToken)]  # fmt: skip
    except yaml.YAMLError:
        return ""
    kept, start = [], 0
    for line in text.splitlines(keepends=True):
        at = _comment(line, start, scalars)
        if at is None:
            kept.append(line)
        elif line[:at].strip():
            kept.append(line[:at].rstrip() + "\n")
        start += len(line)
    return "".join(kept).lstrip("\n")


def _comment(line: str, start: int, scalars: list[tuple[int, int]]) -> int | None:
    """Where a comment of this line begins, which begins at `start` of the text."""
    for at, sign in enumerate(line):
        if sign == "#" and (at == 0 or line[at - 1].isspace()):
            place = start + at
            if not any(first <= place < last for first, last in scalars):
                return at
    return None
