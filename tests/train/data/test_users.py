"""Whose each example is: what is kept of a user, and that no other user changes it."""

from pathlib import Path

import numpy as np
import pytest
from small_recipe import small

from dpplan.errors import RecipeError, UsageError
from dpplan.recipe import Data
from dpplan.train.data import Split, load, load_for
from dpplan.train.data.users import held_out_of, members_of, numbered_users, simulated


def people(seed: int = 0, users: int = 40, examples: int = 400) -> np.ndarray:
    """Users with from 1 to some 30 examples, in mixed order."""
    rng = np.random.default_rng(seed)
    return np.concatenate([np.arange(users), rng.geometric(0.1, examples - users).clip(max=users) - 1])[
        rng.permutation(examples)
    ]


def test_of_each_user_so_many_examples_count_and_they_are_the_users_own() -> None:
    owners = people()
    for most in (1, 3, 8, 100):
        members, counts = members_of(owners, most, seed=0)
        sizes = np.bincount(owners)
        assert ((members >= 0).sum(1) == np.minimum(sizes, most)).all() and members.shape == (40, most)
        assert all(set(owners[row[row >= 0]]) == {user} for user, row in enumerate(members))
        assert (counts.users, counts.most, counts.kept) == (40, most, min(most, sizes.max()))
        assert counts.left_out == np.maximum(sizes - most, 0).sum()
        assert dict(counts.histogram) == {size: int((sizes == size).sum()) for size in set(sizes.tolist())}
        places = members[members >= 0]
        assert len(set(places.tolist())) == len(places)


def test_removing_a_user_changes_nothing_of_what_is_kept_of_the_others() -> None:
    """Else the claim would compare data sets that differ in more than one user. A shuffle over all examples fails."""
    owners = people(1)
    names = np.arange(len(owners))  # of examples, to tell them apart after a removal
    kept = {user: set(names[row[row >= 0]]) for user, row in enumerate(members_of(owners, 3, 5)[0])}
    for gone in (0, 7, 39):
        left = owners != gone
        rest = np.unique(owners[left], return_inverse=True)[1]
        again, others = members_of(rest, 3, 5)[0], [user for user in range(40) if user != gone]
        assert [set(names[left][row[row >= 0]]) for row in again] == [kept[user] for user in others]


def test_what_is_kept_is_not_always_the_first_and_follows_the_seed() -> None:
    owners = np.zeros(50, np.int64)
    first, second = (set(members_of(owners, 10, seed)[0][0].tolist()) for seed in (0, 1))
    assert first != set(range(10)) and first != second and first == set(members_of(owners, 10, 0)[0][0].tolist())


def test_users_are_held_out_as_a_whole() -> None:
    owners = people(2)
    training, rest = held_out_of(owners, 0.25, 0)
    assert len(set(owners[rest])) == 10 and not set(owners[rest]) & set(owners[training])
    assert sorted([*training, *rest]) == list(range(len(owners)))
    with pytest.raises(RecipeError, match=r"data.held_out=0.999 leaves none of the 40 users"):
        held_out_of(owners, 0.999, 0)


def test_simulated_users_have_eight_examples_on_average() -> None:
    owners = simulated(8000, 0)
    sizes = np.bincount(owners)
    assert len(owners) == 8000 and sizes.min() >= 1 and 7.4 < sizes.mean() < 8.6
    assert not (np.diff(owners) == 0).mean() > 0.1  # dealt in random order


def test_names_of_users_are_text_or_whole_numbers_one_for_each_example() -> None:
    assert numbered_users("here", ["m\u00fcller", "a", " mu\u0308ller"], 3).tolist() == [1, 0, 1]
    assert numbered_users("here", [b"b", b"a", b" b"], 3).tolist() == [1, 0, 1]
    bytes_of = [name.encode() for name in ("m\u00fcller", "a", "mu\u0308ller")]
    assert numbered_users("here", [*bytes_of, b"\xff"], 4).tolist() == [1, 0, 1, 2]
    for nobody in ("NA", " ", b"nan"):
        with pytest.raises(UsageError, match="example 1 has no user"):
            numbered_users("here", np.array([type(nobody)(b"a") if isinstance(nobody, bytes) else "a", nobody]), 2)
    assert numbered_users("here", ["b", "a", "b"], 3).tolist() == [1, 0, 1]
    with pytest.raises(UsageError, match="example 1 has no user"):
        numbered_users("here", ["a", ""], 2)
    with pytest.raises(UsageError, match=r"users of shape \(2,\) .* each of the 3 examples"):
        numbered_users("here", [1, 2], 3)
    with pytest.raises(UsageError, match="type float64"):
        numbered_users("here", [0.5, 2], 2)


def test_a_column_of_a_file_says_whose_an_example_is_and_is_no_feature(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{rng.normal():.3f},{rng.normal():.3f},p{rng.integers(9)},{rng.integers(2)}" for _ in range(60)]
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["a,b,patient,target", *rows]))
    data = Data(source="file", path=str(file), user="patient")
    made = load(data, most=4, whole=True)
    assert made.training.inputs.shape[1:] == (2,) and made.training.units == 7 and made.training.views == 4
    assert made.users is not None and made.users.users == 7
    with pytest.raises(RecipeError, match=r"no column data.user=doctor. Its columns: a, b, patient, target"):
        load(Data(source="file", path=str(file), user="doctor"), 4, True)
    with pytest.raises(RecipeError, match=r"data.user=target is data.target as well"):
        load(Data(source="file", path=str(file), user="target"), 4, True)
    arrays = tmp_path / "own.npz"
    np.savez(arrays, inputs=rng.normal(size=(30, 2)), targets=np.arange(30) % 2, who=np.arange(30) // 3)
    assert load(Data(source="file", path=str(arrays), user="who"), 2, False).training.examples == 16


def test_a_set_that_knows_no_users_takes_simulated_ones_only() -> None:
    with pytest.raises(RecipeError, match="digits does not say whose its examples are"):
        load(Data(source="digits", user="writer"), 4, True)


def test_a_recipe_says_whether_users_are_drawn_whole() -> None:
    whole = load_for(small(privacy_unit="user", data_user="simulated"))
    single = load_for(small(privacy_unit="user", privacy_max_per_user=2, data_user="simulated"))
    assert whole.training.members is not None and whole.training.units == 178 == len(whole.training.members)
    assert single.training.members is None and single.training.units == single.training.examples <= 2 * 178


def test_a_part_of_the_users_holds_their_examples_and_no_others() -> None:
    whole = load_for(small(privacy_unit="user", data_user="simulated", data_examples_per_user=5)).training
    first, second = whole.part(slice(0, 100)), whole.part(slice(100, None))
    assert first.units + second.units == 178 and first.examples + second.examples == whole.examples
    for part, start in ((first, 0), (second, 100)):
        assert isinstance(part, Split) and part.members is not None and whole.members is not None
        for user in (0, 57, 77):
            mine = part.members[user][part.members[user] >= 0]
            theirs = whole.members[start + user][whole.members[start + user] >= 0]
            assert bool((part.inputs[mine] == whole.inputs[theirs]).all())
