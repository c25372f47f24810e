"""The command `dpplan`: finds the command, and turns every error into one message and an exit code."""

import sys

# What a shell reports for a process that a signal ended: 128 and the signal's number.
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

try:  # Ctrl-C while this loads, a second on a busy machine, is told as it is later
    import contextlib
    import gc
    import io
    import os
    import shutil
    import traceback
    from collections.abc import Iterator, Sequence
    from typing import Any

    import click

    import dpplan
    from dpplan.commands import COMMANDS
    from dpplan.commands.shared import json_error
    from dpplan.commands.shared.lazy_group import LazyGroup
    from dpplan.errors import EXIT_DONE, EXIT_INTERNAL, EXIT_IO, EXIT_USAGE, DpplanError, UsageError, out_of_memory
    from dpplan.render import plain_words
    from dpplan.visible_text import visible
except KeyboardInterrupt:
    sys.stderr.write("error: interrupted.\n")
    sys.exit(EXIT_INTERRUPTED)

HELP = """Plan, account for and check training with differential privacy (DP-SGD).

Every figure says what is proven about it and what it assumes.

\b
  dpplan epsilon --sigma 1.1 --n 60000 --batch 256 --epochs 60 --delta 1e-5
  dpplan solve --target-eps 3 --n 60000 --batch 256 --epochs 60
  dpplan train recipes/digits.yaml --dry-run

Shell completion, for bash; zsh_source and fish_source serve those:

\b
  eval "$(_DPPLAN_COMPLETE=bash_source dpplan)"

Exit status: 0 done; 1 a limit is exceeded or cannot be met; 2 the call makes no sense as put;
3 nothing could be certified; 4 an internal error; 5 input or output failed, or memory ran out.
`dpplan help exit-codes` says more.
"""

group = click.version_option(dpplan.__version__, prog_name="dpplan", message="%(prog)s %(version)s")(
    LazyGroup("dpplan", COMMANDS, HELP, "dpplan.commands")
)


def main() -> None:
    """The console entry point. Exits; never returns."""
    try:
        status = _main()
    except KeyboardInterrupt:  # before the command began, or after its answer
        status, _ = _complain("interrupted.", EXIT_INTERRUPTED)
    gc.freeze()  # with torch loaded, looking for what could be freed took seconds after the last word was said
    sys.exit(status)


def _main() -> int:
    unwritable = _open_streams()
    plain_words.register()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            plain_words.write_words(stream)  # ε on a screen that has no ε is no reason to fail
    # numpy's small products lose more to a pool of threads than they win: start-up by a third, a frontier by half.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if unwritable:
        return _complain("standard output is closed, so there is no place for the answer.", EXIT_IO)[0]
    return run(sys.argv[1:])


def _open_streams() -> bool:
    """Puts the null device in the place of standard streams that are closed; whether that of the output was.

    Otherwise the next file that is opened, a model perhaps, would take their number, and be printed into.
    """
    closed = sys.stdout is None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = os.O_RDONLY if number == 0 else os.O_WRONLY
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))
    return closed


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code. A user's mistake never shows a traceback."""
    with json_error.one_call():
        try:
            return _answered(arguments)
        except BrokenPipeError:
            return EXIT_BROKEN_PIPE  # the reader has gone, and wants to hear nothing
        except SystemExit:  # of the shell's completion
            raise
        except BaseException as error:  # code that a recipe names may raise what is no Exception
            status, message = _told(error, arguments)
            return _answered_in_json(arguments, status, message, error)
        finally:
            _drop_unwritten()


def _told(error: BaseException, arguments: Sequence[str]) -> tuple[int, str]:
    """Says on stderr what went wrong. Returns the exit code and the message."""
    if isinstance(error, DpplanError):
        return _complain(str(error), error.exit_code)
    if isinstance(error, click.ClickException):
        from dpplan.commands.shared.call_errors import sentence  # only a mistake needs it

        return _complain(sentence(error, arguments), EXIT_USAGE)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        counted = (
            str(error) if isinstance(error, KeyboardInterrupt) else ""
        )  # of a run: what it spent, and how it goes on
        return _complain(f"interrupted. {counted}".rstrip(), EXIT_INTERRUPTED)
    if isinstance(error, OSError):
        return _complain(_failed(error), EXIT_IO)
    if out_of_memory(error):
        return _complain("memory ran out; nothing was certified. Try a machine with more.", EXIT_IO)
    called = sys.modules.get("dpplan.train.recipe_function")  # where a user's own code was called, if any was
    if called and called.raised_by_theirs(error):
        return _complain(f"code that the recipe names {called.failure(error)}", EXIT_USAGE)
    return _confess(error)


def _answered_in_json(arguments: Sequence[str], status: int, message: str, error: BaseException) -> int:
    """The exit code, once a call that asked for JSON and got none has its error in JSON."""
    if json_error.wanted(arguments):
        try:
            click.echo(json_error.document(arguments, status, message, error))
            sys.stdout.flush()
        except BrokenPipeError:
            return EXIT_BROKEN_PIPE
        except OSError as failed:
            return status if status == EXIT_IO else _complain(_failed(failed), EXIT_IO)[0]
    return status


def _answered(arguments: Sequence[str]) -> int:
    """Runs the command, and returns once its answer is out of the process."""
    try:
        return _dispatch(arguments)
    finally:
        # Also before an error is told: an answer that is cut short has to be known, whatever else went wrong.
        sys.stdout.flush()


def _drop_unwritten() -> None:
    """Forgets what a stream that fails still holds: Python would complain of it at its exit, with a status of its own.

    Streams that a caller has put in their place, which have no number, are left as they are.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _dispatch(arguments: Sequence[str]) -> int:
    if "_DPPLAN_COMPLETE" in os.environ:
        group.main(args=list(arguments), prog_name="dpplan")  # answers the shell, and exits
    try:
        with (
            _no_way_out(),
            group.make_context("dpplan", list(arguments), **_context_settings()) as context,
        ):
            group.invoke(context)
    except click.exceptions.Exit as asked:
        return asked.exit_code
    return EXIT_DONE


def _context_settings() -> dict[str, Any]:
    """-h, and help as wide as the terminal where that is narrow: click takes 50 columns for the least."""
    width = shutil.get_terminal_size().columns
    return {"help_option_names": ["-h", "--help"], "terminal_width": max(width, 30) if width < 52 else None}


@contextlib.contextmanager
def _no_way_out() -> Iterator[None]:
    """Raises UsageError for what ends the process from within: a run that nobody finished must not look like one."""
    try:
        yield
    except SystemExit as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        raise UsageError(
            f"{last.filename}:{last.lineno} ends the process. Code that a recipe names has to return, or to raise."
        ) from error


def _failed(error: OSError) -> str:
    """Input or output that failed and that no command foresaw: which file, and what the system says."""
    what = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{what or 'input or output failed'}: {error.strerror or error}."


def _complain(message: str, status: int) -> tuple[int, str]:
    _tell(f"error: {message}")
    return status, message


def _confess(error: BaseException) -> tuple[int, str]:
    """What nobody foresaw: a bug. Nothing is claimed."""
    if os.environ.get("DPPLAN_TRACEBACK"):
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
    message = (
        f"internal error: {type(error).__name__}: {error}. Please report it; set DPPLAN_TRACEBACK=1 for the traceback."
    )
    _tell(message)
    return EXIT_INTERNAL, message


def _tell(text: str) -> None:
    """To stderr, wrapped; where that cannot be written either, the exit status has to do."""
    from dpplan.render.table import fitted

    with contextlib.suppress(OSError):
        for line in fitted(plain_words.in_words(visible(text), getattr(sys.stderr, "encoding", None))):
            click.echo(line, err=True)


if __name__ == "__main__":
    main()
