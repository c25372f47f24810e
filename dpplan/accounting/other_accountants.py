"""What answers here to the name of an accountant elsewhere."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dpplan.checks import did_you_mean
from dpplan.number_spelling import shortened

# Names of accountants elsewhere -> what answers them here.
_EXACT = "exact answers it: the same loss distribution, with both ends proven"
_ANSWERS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("prv", "pld", "fft", "fourier", "numerical", "numeric", "saddlepoint",
                         "connect-dots", "connect-the-dots"), _EXACT),
        "opacus": "Opacus's default, prv, is answered by exact, with both ends proven; its rdp by rdp",
        **dict.fromkeys(
            ("tensorflow", "tf", "tf-privacy", "tensorflow-privacy", "dp-accounting", "google", "jax", "jax-privacy"),
            "Its pld is answered by exact, with both ends proven; its rdp by rdp",
        ),
        **dict.fromkeys(("tight", "certified", "best", "default"), "exact is that"),
        **dict.fromkeys(("renyi", "rényi", "renyi-dp"), "rdp is that"),
        **dict.fromkeys(("clt", "f-dp", "fdp", "gaussian", "mu-gdp"),
                        "gdp is that, an estimate; exact proves what it estimates"),
        **dict.fromkeys(("cdp", "rho", "concentrated"), "zcdp is that"),
        **dict.fromkeys(("ma", "moment", "moments-accountant"), "moments is that"),
        **dict.fromkeys(("strong", "drv"), "advanced is that"),
        **dict.fromkeys(("kov",), "optimal is that"),
        **dict.fromkeys(("naive", "simple", "linear", "sum", "additive"), "basic is that"),
        **dict.fromkeys(("every", "everyone", "*"), "all is that"),
    }
)  # fmt: skip


def unknown(name: str, known: Sequence[str]) -> str:
    """The sentence for an accountant that is none: what answers it here, or the spelling that was meant."""
    answer = _ANSWERS.get(str(name).lower().replace("_", "-"))
    hint = f" {answer}." if answer else did_you_mean(name, known)
    return f"accountant={shortened(str(name))} is not one of: {', '.join(known)}.{hint}"
