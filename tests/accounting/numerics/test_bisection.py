"""The one bisection: both ends as seen, the right neighbours, no more questions than promised."""

import math
import random

import pytest
from mpmath import mp, mpf

from dpplan.accounting.numerics.bisection import MOST_HALVINGS, first_true, first_true_whole


class Asked:
    """A predicate that remembers what it was asked, and what it said."""

    def __init__(self, holds):
        self.holds, self.answers = holds, {}

    def __call__(self, x):
        assert x not in self.answers, "asked twice"
        self.answers[x] = self.holds(x)
        return self.answers[x]


@pytest.mark.parametrize("root", [1e-300, 3.3e-9, 0.1, 1.0, 2.0 / 3.0, 12345.6789, 9.9e299])
def test_without_a_tolerance_the_ends_are_neighbouring_doubles(root):
    asked = Asked(lambda x: x >= root)
    turn = first_true(asked, 0.0, 1e300)
    assert turn == (math.nextafter(root, 0.0), root)
    assert len(asked.answers) <= MOST_HALVINGS


@pytest.mark.parametrize("root", [-7.25, -1e-12, 0.0, 5e-324, 0.3, 7.75])
def test_a_predicate_that_holds_below_is_turned_around(root):
    turn = first_true(lambda x: x <= root, 8.0, -8.0)
    assert turn == (math.nextafter(root, math.inf), root)


def test_ends_are_returned_as_given_where_the_turn_lies_at_one_of_them():
    assert first_true(lambda x: False, 1.0, 2.0) == (math.nextafter(2.0, 0.0), 2.0)
    assert first_true(lambda x: True, 1.0, 2.0) == (1.0, math.nextafter(1.0, 2.0))
    assert first_true(lambda x: True, 1.0, 1.0) == (1.0, 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_each_end_was_seen_as_named_whatever_the_predicate_does(seed):
    rng = random.Random(seed)
    asked = Asked(lambda x: rng.random() < 0.5)
    turn = first_true(asked, 0.0, 1.0, absolute=10.0 ** rng.uniform(-18, -1))
    assert asked.answers.get(turn.true, turn.true == 1.0) is True
    assert not asked.answers.get(turn.false, turn.false != 0.0)


@pytest.mark.parametrize(("absolute", "relative"), [(1e-3, 0.0), (0.0, 1e-3), (1e-13, 1e-13), (0.5, 0.25)])
def test_a_tolerance_ends_the_search_and_no_later(absolute, relative):
    asked = Asked(lambda x: x >= 700.3)
    turn = first_true(asked, 0.0, 1000.0, absolute=absolute, relative=relative)
    allowed = max(absolute, relative * turn.false)
    assert turn.false < 700.3 <= turn.true
    assert turn.true - turn.false <= allowed
    assert len(asked.answers) <= math.ceil(math.log2(1000.0 / (0.5 * allowed)))


def test_most_bounds_the_questions():
    asked = Asked(lambda x: x >= 0.3)
    turn = first_true(asked, 0.0, 1.0, most=5)
    assert len(asked.answers) == 5
    assert turn.true - turn.false == 2.0**-5
    assert first_true(asked, 0.0, 1.0, most=0) == (0.0, 1.0)


@pytest.mark.parametrize("least", [1, 2, 3, 17, 99, 100])
def test_whole_numbers(least):
    asked = Asked(lambda n: n >= least)
    assert first_true_whole(asked, 0, 100) == least
    assert len(asked.answers) <= 7
    assert not {0, 100} & set(asked.answers)


def test_whole_numbers_next_to_each_other_need_no_question():
    assert first_true_whole(lambda n: pytest.fail("asked"), 4, 5) == 5


@pytest.mark.parametrize(("tail", "relative"), [(1e-5, 0.0), (1e-300, 0.0), (0.499, 0.0), (1e-30, 1e-6)])
def test_the_root_of_a_function_in_mpmath_lies_between_the_ends(tail, relative):
    """Where erfc(x)/2 passes a tail, by mpmath's own root: the ends are the doubles beside it, or as near as asked."""
    with mp.workdps(30):
        turn = first_true(lambda x: mp.erfc(mpf(x)) / 2 <= tail, 0.0, 40.0, relative=relative)
        root = (
            mp.erfinv(1 - 2 * mpf(tail))
            if tail > 1e-20
            else mp.findroot(lambda x: mp.log(mp.erfc(x) / 2) - mp.log(mpf(tail)), mp.sqrt(-mp.log(mpf(tail))))
        )
        assert mpf(turn.false) < root <= mpf(turn.true)
        assert turn.true <= math.nextafter(turn.false, math.inf) or turn.true - turn.false <= relative * turn.false
