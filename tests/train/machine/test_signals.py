"""Ctrl-C: asked for between two steps, remembered by whoever is around that, and deferred where it must not cut."""

import signal
from collections.abc import Iterator

import pytest

from dpplan.train.machine.signals import interrupt_asked, interrupt_deferred, interrupt_remembered, nothing_kept


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """As in a terminal: what a shell starts in the background ignores the press, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_press_asks_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupt_asked() as asked:
        assert not asked()
        press()
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            press()
    assert signal.getsignal(signal.SIGINT) is before


def test_work_of_which_nothing_is_kept_is_interrupted_at_once() -> None:
    with nothing_kept(), interrupt_asked() as asked:
        with pytest.raises(KeyboardInterrupt):
            press()
        assert asked()
    with interrupt_asked() as asked:
        press()
        assert asked()


def test_a_press_that_a_block_did_not_ask_about_is_known_around_it() -> None:
    with interrupt_remembered() as pressed:
        with interrupt_asked():  # as that of a run whose last step was taken
            press()
        assert pressed()
        with interrupt_asked() as later:
            assert not later()


def test_outside_of_blocks_that_wait_a_press_interrupts_at_once_and_is_known() -> None:
    with interrupt_remembered() as pressed:
        with pytest.raises(KeyboardInterrupt):
            press()
        assert pressed()
    with pytest.raises(KeyboardInterrupt):
        press()


def test_what_must_not_be_left_half_done_is_finished() -> None:
    with interrupt_remembered() as around, interrupt_deferred() as pressed:
        press()
        press()
        assert pressed() and around()
