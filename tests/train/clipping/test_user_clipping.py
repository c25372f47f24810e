"""Users clipped whole: no user moves the sum by more than C, however many examples are theirs, in every engine."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dpplan.recipe import Privacy
from dpplan.train.clipping import BookKeeping, VmapClipping, choose, rule_for
from dpplan.train.clipping.engines.isolated_bookkeeping import IsolatedBookKeeping
from dpplan.train.clipping.engines.one_at_a_time import OneAtATime
from dpplan.train.losses import NO_EXAMPLE, first_targets, loss_of_one, losses_of_all, of_users

ENGINES = (BookKeeping, IsolatedBookKeeping, VmapClipping, OneAtATime)
CLIP, VIEWS, CLASSES = 0.1, 4, 3


def crowd(seed: int = 0, users: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """inputs, targets and members: users with 1 to 4 examples, some of which stand out by far."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, VIEWS + 1, users)
    inputs = torch.from_numpy(rng.normal(size=(counts.sum(), 5)) * rng.choice([0.1, 1, 100], (counts.sum(), 1)))
    members = torch.full((users, VIEWS), -1)
    places = iter(range(int(counts.sum())))
    for user, count in enumerate(counts):
        members[user, :count] = torch.tensor([next(places) for _ in range(count)])
    return inputs.float(), torch.from_numpy(rng.integers(0, CLASSES, counts.sum())), members


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, CLASSES))


def by_hand(net: nn.Module, inputs: Tensor, targets: Tensor, members: Tensor, clip: float) -> Tensor:
    """The sum of the clipped means of the users' gradients, one user at a time, in float64."""
    net, total = net.double(), torch.zeros(sum(p.numel() for p in net.parameters()), dtype=torch.float64)
    for row in members:
        mine = row[row >= 0]
        loss = cross_entropy(net(inputs[mine].double()), targets[mine])
        flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])
        total += flat * min(1.0, clip / float(flat.norm()))
    return total


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("piece", [2, 16])
def test_the_sum_is_that_of_each_users_mean_gradient_clipped(engine: type[BookKeeping], piece: int) -> None:
    inputs, targets, members = crowd()
    rule = rule_for(Privacy(clip_norm=CLIP, noise_multiplier=1.0))
    found = engine(model(), piece, VIEWS).clipped_sum(*of_users(inputs, targets, members), rule)
    wanted = by_hand(model(), inputs, targets, members, rule.bound)  # type: ignore[attr-defined]
    assert float((found.total - wanted).norm()) < 1e-5 * CLIP * len(members) and found.facts.drawn == len(members)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 9), marks=pytest.mark.slow)], ids=["one", "many"])
def test_no_user_moves_the_sum_by_more_than_the_clip_norm(engine: type[BookKeeping], seeds: range) -> None:
    """With clipping of single examples, a user with four of them moves it by up to four times as much."""
    rule = rule_for(Privacy(clip_norm=CLIP, noise_multiplier=1.0))
    for seed in seeds:
        inputs, targets, members = crowd(seed)
        made = engine(model(), 16, VIEWS)
        whole = made.clipped_sum(*of_users(inputs, targets, members), rule).total
        moved = []
        for gone in range(len(members)):
            left = members[torch.arange(len(members)) != gone]
            rest = made.clipped_sum(*of_users(inputs, targets, left), rule).total
            moved.append(float((whole - rest).norm()))
        assert max(moved) <= CLIP and max(moved) > 0.99 * CLIP


def test_a_place_without_an_example_leaves_no_trace_of_whoever_stands_first() -> None:
    inputs, targets, members = crowd()
    inputs[0] = torch.nan  # an example of the first user, which -1 must not read
    rows, classes = of_users(inputs, targets, members[1:])
    assert bool(rows.isfinite().all()) and bool((rows[classes == NO_EXAMPLE] == 0).all())
    rule = rule_for(Privacy(clip_norm=CLIP, noise_multiplier=1.0))
    made = BookKeeping(model(), 16, VIEWS)
    others = made.clipped_sum(rows, classes, rule)
    whole = made.clipped_sum(*of_users(inputs, targets, members), rule)
    assert float((others.total - whole.total).norm()) < 1e-6 and int(whole.facts.dropped) == 1


def test_users_of_one_example_are_examples() -> None:
    inputs, targets, members = crowd()
    rows, classes = of_users(inputs, targets, members[:, :1])
    assert rows.shape == (7, 5) and classes.tolist() == targets[members[:, 0]].tolist()


def test_the_losses_of_all_are_those_of_each() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3 * VIEWS, CLASSES, generator=generator)
    targets = torch.tensor([[0, 1, 2, 0], [1, NO_EXAMPLE, NO_EXAMPLE, NO_EXAMPLE], [2, 2, NO_EXAMPLE, NO_EXAMPLE]])
    together = losses_of_all(logits, targets, VIEWS)
    alone = [loss_of_one(part, y) for part, y in zip(logits.split(VIEWS), targets, strict=True)]
    assert torch.allclose(together, torch.stack(alone)) and first_targets(targets).tolist() == [0, 1, 2]
    own = cross_entropy(logits[4:5], targets[1, :1])
    assert torch.allclose(together[1], own)
    views = losses_of_all(logits, torch.tensor([0, 1, 2]), VIEWS)
    assert torch.allclose(views[0], loss_of_one(logits[:VIEWS], torch.tensor(0)))


def test_a_model_of_ones_own_is_clipped_by_users_too() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(5, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.inner(x) * 2
            return scores

    torch.manual_seed(1)
    net = Own()
    chosen = choose(net, "auto", 8, torch.zeros(5), VIEWS)
    inputs, targets, members = crowd(3)
    rule = rule_for(Privacy(clip_norm=CLIP, noise_multiplier=1.0))
    found = chosen.engine.clipped_sum(*of_users(inputs, targets, members), rule)
    wanted = by_hand(net, inputs, targets, members, rule.bound)  # type: ignore[attr-defined]
    assert float((found.total - wanted).norm()) < 1e-5 and chosen.isolation.kind == "structural"
