"""The topics of `dpplan help`: each as lines of text, and as JSON.

A topic is an entry of TOPICS: what it is about in a phrase, a function to its lines and one to its JSON.
"""

import dataclasses
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from dpplan import accounting
from dpplan.accounting.assumptions import CERTIFICATE, KINDS
from dpplan.errors import STATUS_MEANINGS
from dpplan.quick_dataclass import dataclass
from dpplan.render import audit_help, help_pages, help_schemes
from dpplan.render.plain_words import for_screen
from dpplan.render.table import screen_width, wrapped
from dpplan.render.to_json import Object


@dataclass(frozen=True, slots=True)
class Topic:
    summary: str
    lines: Callable[[], Iterator[str]]
    content: Callable[[], Object]


def listed() -> Iterator[str]:
    """Every topic with what it is about."""
    for name, topic in TOPICS.items():
        yield f"{name:<14} {topic.summary}"
    yield ""
    yield from wrapped(
        "What a command does is told by dpplan COMMAND --help, what a check looks at by dpplan check --explain all."
    )


def _certificate() -> Iterator[str]:
    """All assumptions, by kind: name, what is assumed, and where that is stated or what dpplan does about it."""
    yield from _wrapped(
        "A certified figure is a theorem about a run: lower ≤ truth ≤ upper, both proven, if all of this holds. "
        "Truth is that of the worst data and the worst gradients within the clip norm, with every noisy sum seen: "
        "below the lower end nobody can promise without knowing more of the run, which may lose less. An upper bound "
        "rests on the same; an estimate rests on nothing. Whoever publishes a figure answers for these."
    )
    for kind, about in KINDS.items():
        yield ""
        yield f"{kind}: {about}"
        for number, each in enumerate(CERTIFICATE, 1):
            if each.kind == kind:
                yield ""
                yield f"{number:>3}. {each.name}"
                yield from _wrapped(each.text, 5)
                yield from _wrapped(f"[{each.source}]", 5)


def _accountants() -> Iterator[str]:
    """What each says of itself: what it does, for which plans, what its figures promise, and what it takes."""
    for name in accounting.ACCOUNTANTS:
        each = accounting.describe(name)
        yield f"{name}  {each.caption}"
        yield from _wrapped(f"for: {each.supports}", 5)
        yield from _wrapped(f"guarantee: {each.guarantee}", 5)
        yield from _wrapped(f"when: {each.use}", 5)
        if each.options:
            yield from _wrapped(f"takes: {', '.join(option.flag for option in each.options)}", 5)
        if each.cost:
            yield from _wrapped(f"beware: {each.cost}", 5)
        yield from _wrapped(f"[{each.source}]", 5)
        yield ""
    yield "Chosen with --accountant; exact unless told otherwise."


def _exit_codes() -> Iterator[str]:
    for code, meaning in STATUS_MEANINGS.items():
        yield from _wrapped(f"{code:>3}  {meaning}", 0, 5)
    for code, meaning in SIGNALS.items():
        yield from _wrapped(f"{code:>3}  {meaning}", 0, 5)
    yield ""
    yield from _wrapped(
        "A file that is named and not there (a link may lead nowhere), or is a folder, "
        "or holds something else than it should, is a mistake of "
        "the call: 2. So is a file to be written where there is no folder (--csv, --plot, --output, --record), or "
        "another file (--overwrite replaces it); the folders above --out, --cache and recipes copy --to are made. "
        "One that is there and cannot be read, or cannot be written, is 5. Where several apply, the first to happen is "
        "told; an answer that could not be written is 5 whatever it was."
    )


def _wrapped(text: str, indent: int = 0, following: int | None = None) -> list[str]:
    margin = " " * indent
    after = margin if following is None else " " * following
    return textwrap.wrap(
        for_screen(text),
        screen_width(),
        initial_indent=margin,
        subsequent_indent=after,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _page(name: str, about: str) -> Topic:
    """A topic that is prose."""
    return Topic(about, lambda: help_pages.lines(name), lambda: {"text": help_pages.text(name)})


SIGNALS: Mapping[int, str] = MappingProxyType(
    {
        130: "interrupted (Ctrl-C); but train and tune, once steps are taken, end as they have to, with 1, and train "
        "with 130 where it comes twice",
        141: "the reader of the output went away",
    }
)
TOPICS: Mapping[str, Topic] = MappingProxyType(
    {
        "certificate": Topic(
            "what a certified figure assumes: the whole list",
            _certificate,
            lambda: {"assumptions": [dataclasses.asdict(each) for each in CERTIFICATE]},
        ),
        "accountants": Topic(
            "who computes figures, and what each promises",
            _accountants,
            lambda: {"accountants": [dataclasses.asdict(accounting.describe(name)) for name in accounting.ACCOUNTANTS]},
        ),
        "audit": Topic(
            "which mistakes an audit catches, and what it cannot see",
            audit_help.lines,
            lambda: {"text": audit_help.TEXT, "sabotages": [each._asdict() for each in audit_help.SABOTAGES]},
        ),
        "sampling": Topic(
            "schemes, what is proven of each, and which loader draws by which",
            help_schemes.sampling,
            help_schemes.sampling_content,
        ),
        "adjacency": Topic(
            "which data sets cannot be told apart, and what gives n away",
            help_schemes.adjacency,
            help_schemes.adjacency_content,
        ),
        "users": Topic("people with many examples", help_schemes.users, help_schemes.users_content),
        "exit-codes": Topic(
            "what the exit status of a command means",
            _exit_codes,
            lambda: {"exit_codes": {str(code): text for code, text in {**STATUS_MEANINGS, **SIGNALS}.items()}},
        ),
        **{name: _page(name, about) for name, (about, _) in help_pages.PAGES.items()},
    }
)
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "assumptions": "certificate",
        "certified": "certificate",
        "exit": "exit-codes",
        "status": "exit-codes",
        "promise": "limits",
        "guarantee": "guarantees",
        "poisson": "sampling",
        "loaders": "sampling",
        "neighbours": "adjacency",
        "symbols": "units",
        **dict.fromkeys(("sigma", "q"), "units"),
        "opacus": "sampling",
        "shuffle": "sampling",
        "recipe": "recipes",
        "run-folders": "training",
        "resume": "training",
        "torchrun": "training",
        "schema": "json",
        "notebook": "python",
        "benchmarks": "reproducing",
    }
)
