"""The page about mechanisms: what each kind in a plan file is given, and what its figure is."""

MECHANISMS = """\
What a phase of a plan file releases: mechanism: {kind: ..., and its settings}. Epsilon, delta, rho, mu and curves are
of one release, for the neighbours of the plan. A number in brackets is what a setting is where it is left out.

  dpplan epsilon recipes/plans/census-2020.yaml --delta 1e-10 --accountant rdp

- gaussian: noise_multiplier, the standard deviation of the noise over the clip norm. Exact.

- laplace: epsilon. Exact.

- discrete-laplace: epsilon and sensitivity (1), a whole number: two-sided geometric noise. Exact.

- randomized-response: epsilon and categories (2): each record answers for itself. Not under add-remove. Exact.

- epsilon-delta: epsilon and delta (0), stated of anything. Exact for the worst that has it.

- gdp: mu, stated of anything; at most what a Gaussian costs.

- exponential, noisy-max, permute-and-flip: epsilon. Only that is known of them, so the figure has a lower end without
them and an upper end with all that they can cost. --accountant rdp knows more of the exponential mechanism.

- zcdp: rho, stated of anything: a bound on Rényi divergences, which rdp and zcdp answer, from above. The exact
accountant refuses: no pair of laws dominates all that has this rho, and one Gaussian of it is no upper bound. What that
Gaussian would cost is the estimate of --accountant gdp.

- rdp: orders and epsilons, two lists: a Rényi curve stated of anything. As zcdp; between two orders it is their chord,
and above the last nothing is known.

Under Poisson sampling, with add-remove or zero-out: gaussian, laplace, discrete-laplace, epsilon-delta, gdp,
exponential, noisy-max and permute-and-flip, by what sampling makes of their laws. A stated rho or curve is for whole
releases: state the curve of the sampled one.
"""
