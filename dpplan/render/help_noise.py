"""The page about noise that steps share: what a recipe can ask for, what is claimed, and what is checked."""

NOISE = """\
The noise of a training step may take back part of what earlier steps added, so that sums over many steps, which is what
an optimiser follows, carry less of it. A recipe asks for it in its privacy block:

  noise: {kind: banded, bands: 8}
  noise: {kind: tree}
  noise: {kind: matrix, strategy: C.npy}

Left out, noise is drawn anew for each step. The figure is that of the whole run, from the strategy C that the noise is
made of: a run releases x + w with C·w independent noise, which tells no more than C·x + z does (Denisov et al. 2022,
arXiv:2202.08312).

- noise_multiplier: standard deviation of the independent noise z over the clip norm, which is the same at all steps.
One example moves C·x by more than a clip norm, by its columns of C: that is what the solved multiplier is larger for.
Do not compare multipliers between kinds of noise; compare ε.

- banded (DP-BandMF): C has so many bands of the square root of the matrix of prefix sums, 1, 1/2, 3/8, ... The memory
is one vector for each band but one. One band is independent noise.

- tree (DP-FTRL): C has a row for each block of 2^j steps, and sums are estimated from below (Honaker 2015). The memory
is one vector for each binary digit of the number of steps.

- matrix: C is the lower triangular matrix in a file (.npy, .csv, .txt; a row for each step), or its first column where
it is the same along its diagonals. The path is seen from the recipe's folder, and a run keeps a copy. The memory is one
vector for each of its bands but one. A C whose inverse grows from step to step is refused: floats would lose noise.

How batches are drawn says in which steps an example takes part, and the claim rests on it:

- sampling: shuffle, order: once: in every epoch at the same place. No sampling helps; the figure is from above. All
kinds, any number of bands. adjacency: zero_out or replace_one.

- sampling: cyclic-poisson, groups: G: at the turns of its group, by a coin. Noise of at most G bands is then amplified
by the coins (Choquette-Choo et al. 2023, arXiv:2306.08153); of wider noise and of trees an example's turns share noise,
nothing proves that coins help, and the figure is that of all its turns, from above. adjacency: zero_out or replace_one.

- sampling: full-batch: in every step. Any adjacency.

Everything else is refused: of a record whose steps come at random no theorem says what shared noise costs. dpplan train
RECIPE --unaccounted runs it, and claims nothing.

A run holds each batch against this before it is released, and stops where an example would come out of turn. Its report
says which noise was added (mechanism, bands), and whether it was: what C makes of the noise has to be independent, of
the planned size, and to depend on nothing that was added before.

A run that goes on draws the noise of its earlier steps once more, from noise.key in its folder, which only its owner
reads: whoever has it can subtract the noise. It goes when the run is over; runtime.checkpoint_every: off writes none. A
run that two copies of its folder went on with cannot go on. Of several processes the first adds the noise.

  dpplan train recipes/digits-correlated.yaml

When it pays: many steps, each with a small batch, and an example in few of them; where sampling amplifies much, and ε
is small, independent noise is as good or better, and so it is where larger batches and momentum can take the place of
many small steps: that recipe has both sides, measured. Measure both at one ε.
"""
