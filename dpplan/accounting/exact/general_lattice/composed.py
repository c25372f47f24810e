"""Delta of composed lattice laws: one transform to the power of the steps, with every error bounded.

With N points to a period Λ = N·h and φ the transform of one step's masses w, the inverse transform of φ^T holds the
composed masses W, each with those a whole number of periods away added to it. On their losses Y,

    Σ over one period of W·c(Y) + the same, periods on  =  Σ_m e^(mΛt)·delta(ε + mΛ),   c(Y) = e^(-tY)·(1 - e^(ε - Y))₊,

whose aliases m ≠ 0 are positive: the whole sum bounds the upper law's delta from above, and the lower law's from
below when the aliases, bounded by Chernoff, are taken off.
"""

import math
import sys
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from dpplan.accounting.exact.contour import chernoff
from dpplan.accounting.exact.contour.composed_loss import LOG_HUGE
from dpplan.accounting.exact.contour.delta_interval import LOG_TINY, SAFE, Chernoff, DeltaInterval
from dpplan.accounting.exact.contour.privacy_loss import grown_error, log_characteristic
from dpplan.accounting.exact.general_lattice.discretise import DiscretisedLaw, Lattice, Side
from dpplan.accounting.numerics import ComplexArray, outward
from dpplan.accounting.pairs.law import EPS, Array
from dpplan.quick_dataclass import dataclass

# Points on either side of the lump that are summed directly, if all but FAR_MOST is there.
NEAR, FAR_MOST = 24, 0.02
SUMMED = 80.0 * EPS  # of a pairwise sum of products of as many terms as fit into memory
BLOCKS = 256  # of sums that are kept: a lattice has 1024 points or more
LEAST_MASS, WHOLE = sys.float_info.min, 1.0  # a lattice's P-mass is 1 but for what was moved up, and e is far above
ROUNDED = 0.1  # of it, what the lattice and its aliases leave counts for little
MOST_FADED = 0.5  # of a period's weights, what those of the next are, where all periods are added up
FARTHEST = 2.0**45  # lattice points from the origin, beyond which their places are not exact enough


@dataclass(frozen=True)
class DeltaKernel:
    """c(Y) on the points from ε on, for a gap g between ε and the first: `first` + (e^g - 1)·`near`; what periods on
    add to the upper sum is `tail`·Σ W·near. faded: e^(-tΛ). fallen: 1 - e^(-Λ), with its digits where Λ is tiny."""

    first: Array
    near: Array
    first_sum: float
    near_sum: float
    tail: float
    rounding: float
    faded: float
    fallen: float

    @classmethod
    def of(cls, lattice: Lattice, points: int) -> "DeltaKernel":
        j = np.arange(points, dtype=np.float64)
        near = np.exp(-(lattice.r - lattice.h) * j)
        first = near * -np.expm1(-lattice.h * j)
        left = math.exp(-(lattice.r - lattice.h) * points)
        tail = left / -math.expm1(min(-(lattice.r - lattice.h) * points, -1e-300))
        rounding = EPS * (16.0 + 4.0 * lattice.r * points)
        sums = float(first.sum()), float(near.sum())
        return cls(first, near, *sums, tail, rounding, left, -math.expm1(-lattice.h * points))

    def of_all_periods(self, first: float, near: float) -> tuple[float, float]:
        """Both sums over all periods from a point on, of those over the first one. With ρ = e^(-tΛ), d = e^(-Λ), the
        p-th adds ρ^p·(d^p·first + (1 - d^p)·near) and ρ^p·near."""
        both = 1.0 - self.faded + self.faded * self.fallen
        later = self.faded * self.fallen / ((1.0 - self.faded) * both)
        return first / both + later * near, near / (1.0 - self.faded)


class SuffixSums:
    """Σ_j W(n + j)·first(j) and Σ_j W(n + j)·near(j) from any point n on, of W that is given over one period.

    They are laid once at every `block` points, one period at the last of them and with what lies between two, n and
    n + L, added for each before it. With ρ = near(L) and y = e^(-hL),

        near sum(n)  = Σ_{j < L} W(n + j)·near(j)  + ρ·near sum(n + L)
        first sum(n) = Σ_{j < L} W(n + j)·first(j) + ρ·(y·first sum(n + L) + (1 - y)·near sum(n + L)),

    since 1 - e^(-h(L + j)) = y·(1 - e^(-hj)) + (1 - y). All terms are positive where W is: a sum at n is off by the
    errors of the near(L) on the way, whose exponents add up to two periods' at most, and by 16·EPS for each of BLOCKS.
    A sum covers one period at least and two at most; or, where it is `whole`, all of them: the last is laid as what
    all periods add up to, and the rest is the same.
    """

    def __init__(self, masses: Array, kernel: DeltaKernel, *, whole: bool = False) -> None:
        """masses: W, [point of a period], as many as a power of 2."""
        self.masses, self.kernel, self.block = masses, kernel, max(len(masses) // BLOCKS, 1)
        self.whole = whole
        self.any = bool(masses.any())
        rows = masses.reshape(-1, self.block)
        first, near = kernel.first[: self.block], kernel.near[: self.block]
        firsts, nears = (rows * first).sum(axis=1), (rows * near).sum(axis=1)
        last = float((masses * kernel.first).sum()), float((masses * kernel.near).sum())
        self._at = [kernel.of_all_periods(*last) if whole else last]
        for own in reversed(list(zip(firsts.tolist(), nears.tolist(), strict=True))):
            self._at.append(self._joined(own, self.block, self._at[-1]))
        self._at.reverse()

    def at(self, points: Sequence[int]) -> tuple[Array, Array]:
        """Both sums, [point]."""
        sums = [self._from(point % len(self.masses)) for point in points]
        return np.array([first for first, _ in sums]), np.array([near for _, near in sums])

    def _from(self, start: int) -> tuple[float, float]:
        block, within = divmod(start, self.block)
        if not within:
            return self._at[block]
        part, length = self.masses[start : (block + 1) * self.block], self.block - within
        own = float((part * self.kernel.first[:length]).sum()), float((part * self.kernel.near[:length]).sum())
        return self._joined(own, length, self._at[block + 1])

    def _joined(self, own: tuple[float, float], length: int, after: tuple[float, float]) -> tuple[float, float]:
        """The sums from a point on, of those over the next `length` points and of those that begin after them."""
        fade, rest = float(self.kernel.near[length]), float(self.kernel.first[length])
        return own[0] + (fade - rest) * after[0] + rest * after[1], own[1] + fade * after[1]


@dataclass(frozen=True)
class ComposedMasses:
    """W in units of e^log_unit, [residue of the points from the lumps]; bounds on the error of each and, relative, of
    all; the loss of all lumps together, and how far that may be off."""

    masses: Array
    error: float
    log_unit: float
    unit_error: float
    loss: float
    moved: float

    def delta(self, epsilon: float, lattice: Lattice, kernel: DeltaKernel, sign: float) -> tuple[float, float, float]:
        """From above (sign 1) or below (-1) but for aliases; the value between; and -d/dε of it."""
        place = self.moved + 4.0 * EPS * (abs(epsilon) + abs(self.loss))
        shifted = epsilon - sign * place
        steps = math.floor((shifted - self.loss) / lattice.h) + 1
        if not (self.masses.any() and abs(steps) < FARTHEST):
            return (math.inf if sign > 0.0 else 0.0), 0.0, 0.0
        off = sign * 4.0 * EPS * (abs(shifted) + abs(self.loss) + abs(steps) * lattice.h)
        gap = self.loss + steps * lattice.h - shifted + off
        base = self.log_unit + shifted + sign * place - lattice.r * steps
        if not LOG_TINY < base < LOG_HUGE:  # outside the range of floats, or without digits
            return (math.inf if sign > 0.0 else 0.0), 0.0, 0.0
        at, size = steps % len(self.masses), len(self.masses)
        turned = np.concatenate((self.masses[at:], self.masses[:at])) if at else self.masses
        scale, rise = math.exp(base), math.expm1(max(gap, 0.0))
        near = float((turned * kernel.near).sum())
        value = float((turned * kernel.first).sum()) + rise * near
        error = self.error * (kernel.first_sum + rise * kernel.near_sum) * (1.0 + 1e-6)
        relative = kernel.rounding + SUMMED + self.unit_error
        relative += EPS * (16.0 + 4.0 * (abs(self.log_unit) + abs(epsilon) + abs(lattice.r * steps)))
        # The sums are of W with its error, which may be negative: they round like a positive sum and twice the error.
        error += relative * (abs(value) + 2.0 * error)
        if sign > 0.0:
            error += (1.0 + rise) * kernel.tail * (abs(near) + self.error * size) * (1.0 + 1e-6)
        slope = max(near * (1.0 + rise) - value, 0.0)
        return scale * (value + sign * error), scale * value, scale * slope

    def many(self, epsilons: Array, lattice: Lattice, sums: SuffixSums, sign: float) -> Array:
        """The first of what `delta` gives, but for a little more rounding, at each of these ε; of sums that are whole,
        ends of Σ_m e^(mΛt)·delta(ε + mΛ) on either side, where e^(-tΛ) is MOST_FADED at most."""
        kernel = sums.kernel
        none = np.full(len(epsilons), math.inf if sign > 0.0 else 0.0)
        place = self.moved + 4.0 * EPS * (np.abs(epsilons) + abs(self.loss))
        shifted = epsilons - sign * place
        steps = np.floor((shifted - self.loss) / lattice.h) + 1.0
        off = sign * 4.0 * EPS * (np.abs(shifted) + abs(self.loss) + np.abs(steps) * lattice.h)
        gap = self.loss + steps * lattice.h - shifted + off
        base = self.log_unit + shifted + sign * place - lattice.r * steps
        held = (np.abs(steps) < FARTHEST) & (base > LOG_TINY) & (base < LOG_HUGE) & sums.any
        if not held.any():
            return none
        points, back = np.unique(steps[held].astype(np.int64), return_inverse=True)
        first, near = sums.at(points.tolist())
        scale, rise, near = np.exp(base[held]), np.expm1(np.maximum(gap[held], 0.0)), near[back]
        value = first[back] + rise * near
        # A sum covers two periods at most. In the second `first` is no share of what it is in the first one, but is no
        # more than `near`, which is less than min(tail, 1) of that.
        sizes_of_all = (
            kernel.first_sum + min(kernel.tail, 1.0) * kernel.near_sum,
            (1.0 + min(kernel.tail, 1.0)) * kernel.near_sum,
        )
        if sums.whole:
            sizes_of_all = kernel.of_all_periods(kernel.first_sum, kernel.near_sum)
        error = outward.up(self.error * (sizes_of_all[0] + rise * sizes_of_all[1]), SAFE)
        # Of a p-th period the exponents are off by p + 1 times as much: Σ p(p + 1)·ρ^(p - 1) is 2/(1 - ρ)³.
        periods = 16.0 if sums.whole else 2.0
        relative = periods * kernel.rounding + SUMMED + self.unit_error + 16.0 * EPS * (BLOCKS + 1)
        sizes = 4.0 * (abs(self.log_unit) + np.abs(epsilons[held]) + np.abs(lattice.r * steps[held]))
        error += (relative + EPS * (16.0 + sizes)) * (np.abs(value) + 2.0 * error)
        if sign > 0.0 and not sums.whole:
            spilled = (1.0 + rise) * kernel.tail * (np.abs(near) + 2.0 * self.error * len(self.masses))
            error += outward.up(spilled, SAFE)
        none[held] = scale * (value + sign * error)
        return none


class Composed:
    """delta(ε) of the finite losses of composed steps near one ε, in one direction; valid, if wide, at any other."""

    method = "lattice"

    def __init__(
        self, laws: list[tuple[DiscretisedLaw, float]], lattice: Lattice, points: int, tilt: float, others: Array
    ) -> None:
        """laws: with how often each is taken. tilt: t. others: tilts at which aliases are bounded."""
        self.laws, self.lattice, self.points, self.tilt = laws, lattice, points, tilt
        self._angles = 2.0 * math.pi / points * np.arange(points // 2 + 1)
        self._kernel = DeltaKernel.of(lattice, points)
        self._upper = self._compose([(law.up, law, count) for law, count in laws])
        self._lower = self._compose([(law.down, law, count) for law, count in laws])
        self._chernoff = self._bounds(np.append(others, [tilt, 0.0]))

    def above(self, epsilon: float) -> tuple[float, float]:
        """Not below delta at this ε, and about -d/dε of it."""
        found, _, fall = self._upper.delta(epsilon, self.lattice, self._kernel, 1.0)
        return found, fall

    def below(self, epsilon: float) -> tuple[float, float]:
        """Not above delta at this ε, and about -d/dε of it."""
        found, _, fall = self._lower.delta(epsilon, self.lattice, self._kernel, -1.0)
        return max(found - self._aliases(epsilon), 0.0), fall

    def ends(self, epsilons: Array) -> tuple[Array, Array]:
        """The ends that `at` gives, but for a little more rounding, at each of these ε."""
        log_deltas, log_aliases = self._chernoff.at_many(self.tilt, self.points * self.lattice.h, epsilons)
        aliases = outward.up(np.exp(np.minimum(log_aliases, LOG_HUGE)), SAFE)
        below = self._lower.many(epsilons, self.lattice, self._lower_sums, -1.0) - aliases
        above = self._upper.many(epsilons, self.lattice, self._upper_sums, 1.0)
        ceiling = outward.up(np.exp(np.clip(log_deltas, LOG_TINY, 0.0)), outward.FEW)
        return np.where(below > 0.0, below, 0.0), np.where(above < ceiling, above, np.minimum(ceiling, 1.0))

    @property
    def period(self) -> float:
        return self.points * self.lattice.h

    def with_aliases(self, epsilons: Array) -> tuple[Array, Array]:
        """Not above Σ_m e^(mΛt)·delta(ε + mΛ) of the lower law, and not below that of the upper one, at each of these
        ε: both with all of their aliases. Infinite where later periods weigh too much."""
        if not self._kernel.faded <= MOST_FADED:
            return np.full(len(epsilons), -math.inf), np.full(len(epsilons), math.inf)
        below, above = self._whole_sums
        return (
            self._lower.many(epsilons, self.lattice, below, -1.0),
            self._upper.many(epsilons, self.lattice, above, 1.0),
        )

    @cached_property
    def _whole_sums(self) -> tuple[SuffixSums, SuffixSums]:
        """Of the lower law and of the upper one."""
        below, above = (SuffixSums(side.masses, self._kernel, whole=True) for side in (self._lower, self._upper))
        return below, above

    @cached_property
    def _upper_sums(self) -> SuffixSums:
        return SuffixSums(self._upper.masses, self._kernel)

    @cached_property
    def _lower_sums(self) -> SuffixSums:
        return SuffixSums(self._lower.masses, self._kernel)

    def _aliases(self, epsilon: float) -> float:
        period = self.points * self.lattice.h
        log_bound = self._chernoff.log_aliases(self.tilt, period, epsilon)
        return outward.up(math.exp(min(log_bound, LOG_HUGE)), SAFE)

    def at(self, epsilon: float) -> DeltaInterval:
        """The interval for delta at this ε; mass at loss +inf is not in it."""
        above, high, fall = self._upper.delta(epsilon, self.lattice, self._kernel, 1.0)
        below, low, slope = self._lower.delta(epsilon, self.lattice, self._kernel, -1.0)
        aliases = self._aliases(epsilon)
        ceiling = chernoff.probability(self._chernoff.log_delta(epsilon))
        both = low > 0.0
        return DeltaInterval(
            lower=max(below - aliases, 0.0),
            upper=min(above, ceiling) if above == above else ceiling,
            estimate=0.5 * (high + low) if both else high,
            slope=-0.5 * (fall + slope) if both else -fall,
            terms=(
                ("lattice", max(high - low, 0.0)),
                ("aliases", aliases),
                ("transform and rounding", max(above - high, low - below)),
            ),
        )

    def improves(self, most: int, epsilon: float) -> bool:
        """Whether one of more points, at most so many, may be narrower at this ε. Not where what is not known of delta
        is nearly all transform and rounding: more points add to that, and its interval would lie around this one."""
        if self.points >= most:
            return False
        terms = dict(self.at(epsilon).terms)
        rounding = terms["transform and rounding"]
        return not (math.isfinite(rounding) and terms["lattice"] + terms["aliases"] < ROUNDED * rounding)

    def _compose(self, sides: list[tuple[Side, DiscretisedLaw, float]]) -> ComposedMasses:
        log_values, off = np.zeros(len(self._angles), complex), np.zeros(len(self._angles))
        sizes = np.zeros(len(self._angles))
        log_unit = unit_error = loss = moved = 0.0
        for side, law, count in sides:
            total = math.fsum(side.masses)  # a rounding per lattice point, T times over, would be seen
            if not 0.0 < total < math.inf:
                return ComposedMasses(np.zeros(self.points), 0.0, 0.0, 0.0, 0.0, 0.0)
            drop, turn, error = self._characteristic(side, side.masses / total)
            log_phi, lost = log_characteristic(drop, turn)
            log_values += count * log_phi
            sizes += count * np.abs(log_phi)
            off += count * np.log1p(
                (error + lost + 2.0 * side.added / total) / np.maximum(np.exp(log_phi.real), 1e-300)
            )
            log_unit += count * (math.log(total) + law.shift)
            unit_error += count * EPS * (8.0 + 2.0 * abs(math.log(total)) + 2.0 * abs(law.shift))
            loss += count * side.loss
            moved += count * (law.moved + 4.0 * EPS * abs(side.loss))
        error = grown_error(log_values.real, off + EPS * (16.0 + 8.0 * sizes))
        values: ComplexArray = np.exp(log_values)
        weights = np.full(len(values), 2.0 / self.points)
        weights[[0, -1]] = 1.0 / self.points
        each = float((weights * error).sum()) + self._transformed * float((weights * np.abs(values)).sum())
        masses = np.fft.irfft(values, self.points)
        return ComposedMasses(masses, outward.up(each, outward.MANY), log_unit, unit_error, loss, moved)

    @property
    def _transformed(self) -> float:
        """Every output of a transform is a tree of log2(N) levels over all inputs, of four roundings or less each."""
        return 5.0 * math.log2(self.points) * EPS

    def _characteristic(self, side: Side, share: Array) -> tuple[Array, Array, Array]:
        """1 - Re φ, Im φ and a bound on the error of φ, [frequency].

        The lump adds nothing to 1 - φ, and its neighbours, where most of the rest is when large losses are rare, are
        summed as they stand: a transform would round them to units of their sum.
        """
        at = side.first + np.arange(len(share))
        near = np.abs(at) <= NEAR
        far = np.where(near, 0.0, share)
        if far.sum() > FAR_MOST:
            near = at == 0
            far = np.where(near, 0.0, share)
        turned = np.fft.rfft(np.bincount(at % self.points, far, self.points))
        drop, turn = turned[0].real - turned.real, turned.imag
        size, weight = np.zeros_like(drop), 0.0
        for j in np.flatnonzero(near & (share > 0.0) & (at != 0)):
            half = np.sin(0.5 * at[j] * self._angles)
            drop += 2.0 * share[j] * half * half
            turn -= share[j] * np.sin(at[j] * self._angles)
            size += 2.0 * share[j] * np.abs(half)
            weight += share[j] * abs(float(at[j]))
        # The shares, 16; sines and what is made of them, 10; up to 2·NEAR sums each, 30; three roundings of an angle.
        near_off = size * (64.0 * EPS) + 4.0 * EPS * weight * self._angles
        return drop, turn, near_off + (2.0 * self._transformed + self.wrapped(len(share))) * float(far.sum())

    def wrapped(self, size: int) -> float:
        """What so many masses are off that are added up modulo the period: those at one place one after the other."""
        return (16.0 + size // self.points) * EPS

    def _bounds(self, tilts: Array) -> Chernoff:
        """Upper bounds on the upper law's moments."""
        logs = np.zeros(len(tilts))
        for law, count in self.laws:
            for k, s in enumerate(tilts.tolist()):
                logs[k] += count * (self.log_moment(law.up, law, s, slice(None)) + s * law.moved)
        return Chernoff.of(tilts, logs)

    def log_moment(self, side: Side, law: DiscretisedLaw, s: float, part: slice) -> float:
        """log of what some masses of one step add to its moment at a tilt, rounded up.

        They are held under the lattice's tilt, where those far below underflow, which at a lower tilt may be most of
        the law. Of each of those is known that it was below the smallest normal float, and of all that they are no more
        than the whole P-mass: the first is used where it says more, which is above some place, the other below.
        """
        h, r = self.lattice.h, self.lattice.r
        masses = side.masses[part]
        steps = side.first + np.arange(len(side.masses), dtype=np.float64)[part]
        held = ~(masses < LEAST_MASS)  # and what is no number, which then is none for all
        lost, slope = steps[~held], s * h - (r - h)
        floor, whole = math.log(LEAST_MASS) + slope * lost, s * h * lost - law.shift - side.loss + WHOLE
        below = whole < floor
        exponents = np.concatenate((np.log(masses[held]) + slope * steps[held], floor[~below]))
        top = max(float(np.max(exponents, initial=-math.inf)), float(np.max(whole[below], initial=-math.inf)))
        if top == -math.inf:
            return top
        total = float(np.exp(exponents - top).sum()) + math.exp(float(np.max(whole[below], initial=-math.inf)) - top)
        turned = abs(top) + (2.0 * abs(slope) + abs(s * h)) * float(np.max(np.abs(steps)))
        moment = top + math.log(total) + law.shift + (1.0 + s) * side.loss
        return moment + EPS * (64.0 + 8.0 * (turned + abs(law.shift) + (1.0 + abs(s)) * abs(side.loss)))
