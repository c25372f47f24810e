"""What is said when a proof cannot be had."""

from dpplan.errors import NotCertified


class NotProved(NotCertified):
    """No proof at this accuracy within the work allowed.

    term: the error source that could not be made small. size: how large it is, or what it would take.
    """

    def __init__(self, term: str, size: str, try_: str) -> None:
        self.term, self.size = term, size
        super().__init__(f"no proof: {term}: {size}. {try_}")

    @classmethod
    def too_long(cls, side: str, frequencies: int, nodes: int, work: float, most: float) -> "NotProved":
        return cls(
            f"frequencies left out ({side} direction)",
            f"the sum needs {frequencies} frequencies x {nodes} nodes, {work:.1e} products, of {most:.0e} allowed",
            FEWER,
        )

    @classmethod
    def slow_decay(cls, side: str, frequency: float, goal: float) -> "NotProved":
        return cls(
            f"frequencies left out ({side} direction)",
            f"not yet {goal:.0e} of delta at the frequency {frequency:.3g}, the last one allowed",
            FEWER,
        )

    @classmethod
    def out_of_sight(cls, side: str) -> "NotProved":
        return cls(
            f"aliases ({side} direction)", "no tilt has moments that could be computed in the work allowed", FEWER
        )

    @classmethod
    def too_many_phases(cls, phases: int, most: int) -> "NotProved":
        return cls("quadrature in x", f"{phases} distinct phases, of {most} allowed", "Merge equal phases.")

    @classmethod
    def short(cls, term: str, proven: int, digits: int) -> "NotProved":
        return cls(term, f"it leaves {proven} of {digits} digits", f"Ask for digits={proven}." if proven else FEWER)


FEWER = "Ask for fewer digits; without a proof the certified interval stands."
