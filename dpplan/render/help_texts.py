"""The text of the pages of `dpplan help`; help_pages says how they are laid out, and fills in what code knows."""

# The commands that take a plan file as their one argument, and the settings that `solve --unknown` finds: said on more
# pages than one.
PLAN_ALONE = (
    "epsilon", "delta", "solve", "curve", "check", "risk", "report", "export", "compare accountants", "compare tuning",
    "compare plans",
)  # fmt: skip
UNKNOWNS = (
    "its noise by its name, steps, epochs, sample_rate, batch_size, groups, participations, separation, rho, a stated "
    "epsilon or delta, answers, threshold, threshold_scale, query_scale, partitions, the mean of a search"
)

LIMITS = """\
Take two data sets that differ by one training example, and any set of outcomes. The chances that the trained
parameters fall into it differ by a factor of at most e^ε, but for a probability of at most δ. This holds against
whoever sees the parameters, all of the intermediate ones too, whatever else they know. What it does not say:

- One example is protected, not one person. With k examples, the protection is (k·ε, k·e^((k-1)·ε)·δ).

- Adjacency is adding or removing one example, unless --adjacency says otherwise. Figures under different
adjacencies are not to be compared: see dpplan help adjacency.

- Sampling must be what the loader does. One that shuffles and cuts equal batches is not covered by a figure for
Poisson sampling, and its true ε can be much larger: see dpplan help sampling.

- δ allows for failure. With a probability of δ, a run that satisfies (ε, δ) may give an example away altogether. At
δ ≥ 1/n, publishing one record at random would satisfy it.

- One run is counted. Trying settings on the same data, choosing among runs, stopping when it looks good, and
preprocessing computed from the data (a mean, a vocabulary) cost privacy too, and are not in the figure.

- {n_is_public} The settings and the shape of the model are taken for public, too.

- Held-out examples are not protected. They are never drawn, so the parameters do not depend on them; an accuracy
measured on them does. No ε covers the losses and accuracies of a private run.

- Floating point is taken for real numbers, and the generator for an ideal one. Attacks on the last bits of noise
are outside the claim.

- Seeded runs protect nobody. Who knows the seed can subtract the noise. --seed is for tests, and marks the run.

- ε is a worst-case bound, not a measured risk. Most attacks reach less. Nor does a small ε keep a model from
learning, and telling, what is true of the population.

What a figure takes for granted, item by item, is in dpplan help certificate; what is wrong with a plan at hand is
told by

  dpplan check --sigma 1.1 --n 60000 --batch 256 --epochs 60 --delta 1e-6
"""

UNITS = """\
The figures of a plan, as they are called in code, formulas and options:

{quantities}

σ is the standard deviation of the noise on the summed clipped gradients, divided by the clip norm. It is not that of
the noise on the mean gradient, so the batch plays no part in it, and the clip norm does not change ε (where steps share
noise it is one for all steps). That norm is of all parameters together: with norms by layer, the square root of the sum
of their squares. ε counts nats: an ε of 1 is a factor of e = 2.718. The privacy unit is one example, and not a person
who is in several, alone or with others (dpplan help users).

Numbers may be typed as 60000, 6e4 or 60_000, and q as a fraction, 1/79, which stays exact where epochs become steps; δ
may be one, 1/60000, and is rounded down. Steps are rounded up: ⌈epochs × n / batch⌉, under shuffle ⌈epochs × ⌈n /
batch⌉⌉. A δ that is left out is the largest power of ten that is at most 1 / (10 n). Printed upper bounds, and σ, are
rounded up; lower bounds, and steps to spend, down.

  dpplan epsilon --sigma 1 --q 1/79 --epochs 10 --delta 1e-5
"""

GUARANTEES = """\
Every figure says what it promises:

{guarantees}

A certified interval includes the errors of its own computation, and is widened by one part in 10^9 at either end.
It rests on what dpplan help certificate lists. Which accountant promises what is in dpplan help accountants; they
are held against each other by

  dpplan compare accountants --sigma 1.1 --n 60000 --batch 256 --epochs 60

Limits are held against proven upper bounds. An estimate passes --max-eps only with --accept-estimate, a lower bound
never.

  dpplan epsilon --sigma 4 --q 0.01 --steps 10000 --delta 1e-5 --max-eps 1
  dpplan epsilon --sigma 4 --q 0.01 --steps 10000 --delta 1e-5 --explain
"""

RECIPES = """\
A recipe is a plan with its data and its model: one YAML file that says everything about a run. This one, digits,
gives a target ε, so the noise is solved for:

  privacy:
    target_epsilon: 3       # or noise_multiplier, and epsilon follows
    delta: 1e-5             # left out: the largest power of ten <= 1 / (10 n)
    clip_norm: 1
  data:
    source: digits
    held_out: 0.2           # never drawn
  model:
    kind: mlp
    hidden: [64]
    activation: tanh
  training:
    batch_size: 512         # expected
    epochs: 30              # or steps
    optimizer: sgd
    learning_rate: 0.5
    momentum: 0.9

Recipes that come with dpplan are listed and copied; every number in them has its reason beside it.

  dpplan recipes
  dpplan recipes copy digits
  dpplan check recipes/digits.yaml --n 1437
  dpplan train recipes/digits.yaml --dry-run

An unknown key, a wrong type or a contradiction is reported with its line, all of them at once. Each block, its keys
with their defaults (- where there is none), and what they mean:

{blocks}

A claim for users: privacy.unit: user, and data.user, the column that says whose each example is (simulated for sets
that know no users). Users are then drawn and clipped whole, and batch_size counts users; with privacy.max_per_user: 4,
examples are drawn, at most 4 of one user. What is kept of a user depends on nothing but that user's number of
examples. digits-users is such a recipe.

The four tutorial-* recipes redo a published Opacus tutorial. Opacus samples at 1/⌈n/256⌉ and takes ⌈n/256⌉ steps
per epoch: exactly ε = 28.849, 2.107, 4.831, 0.538. Here a batch of 256 means q = 256/n and ⌈epochs · n/256⌉ steps:
29.282, 2.122, 4.864, 0.541. Each figure is right for its own run.
"""

TRAINING = """\
dpplan train runs a recipe, draws its batches from the same object that was accounted, and holds what was really
spent against the plan. It needs the extra 'train': pip install 'dpplan[train]'. On Linux without a GPU put torch's CPU
build in first, which is gigabytes smaller and is kept:

  pip install torch --index-url https://download.pytorch.org/whl/cpu

  dpplan train recipes/digits.yaml --dry-run

Each run makes a folder of its own, runs/<recipe>-001 and up, or what --out names:

  recipe.yaml    the recipe as it was read. It does not depend on the data.
                 The sha256 of a recipe is that of its canonical form (what
                 is run, without layout and comments), not of this file.
  model.pt       the parameters, which ε covers, and whatever else the model
                 holds, as it was before the first step.
  metrics.jsonl  a line per epoch: ε so far, whether it is over budget, and,
                 under not_covered_by_epsilon, loss, accuracy and counts.
  report.json    plan, spent ε, whether they agree, software; under
                 not_covered_by_epsilon the accuracies.

What is marked with a star on the screen, and not_covered_by_epsilon in files, was computed from the examples
without noise: no ε covers it, and it is not to be published with it. Accuracies differ from run to run, because an
unseeded run takes its noise from the operating system.

isolation, on the screen and in the report, says how examples are kept from each other. A model of your own (kind:
module:function) runs inside vmap, one example at a time to its code: structural. One that vmap cannot run, or that
is made of known layers alone, is tested. A model in which examples meet, or that changes anything while it runs, is
refused; frozen BatchNorm (eval() where the model is built, or in its train()) is fine. arithmetic says whether an
example was found to count with the same bits wherever it stands in a batch; where not, the margin for round-off is
wider.

A run that was killed or interrupted also holds steps, run.json and checkpoint.pt, from which dpplan train --resume
goes on; none knows more of the examples than ε covers. Where steps share what was drawn (bins, a shuffled order,
groups), draws.key beside them does: it is its owner's alone to read, and goes when the run is over; with it a run goes
on in the epoch that it was in. A checkpoint is written each tenth of the run and every 250 steps at least, unless
runtime.checkpoint_every says otherwise. Every step begun is counted: those after the last checkpoint are spent and not
in the model. --resume says how many before it goes on, and so do the report and dpplan verify afterwards. dpplan
verify runs/digits-001 says what a run that was killed has spent so far, and takes no step; dpplan epsilon
runs/digits-001 counts all that it planned, since what it saw may have decided when to stop. Model and report are
written right after the last one: a failed evaluation costs an accuracy. Whoever resumes two copies of a folder spends
twice: a copy, or a count below this user's record of the run (in $XDG_STATE_HOME, else ~/.local/state), is refused
until --moved says that no other copy goes on. Copies on another machine or of another user are not noticed.

A recipe of which no accountant can prove anything (sampling: shuffle with adjacency: add_remove, balls-in-bins with
replace_one, noise: tree with sampling: poisson) is refused. As a last resort dpplan train RECIPE --unaccounted runs it
with the noise_multiplier that it states; a target_epsilon or max_epsilon, which nobody could hold, is refused. Such a
run claims nothing: its screen says so first, its files hold unaccounted (why) and null for each ε, and it stays so on
--resume, which needs no flag. verify, epsilon, --spent, report, export and audit refuse it with exit status 3, and
check (DP010), verify and report name it beside every other run on the same data: what is spent on them is unknown from
then on, and is never counted as 0. A run that can be accounted is refused with the flag.

Several processes share one run, at the same ε, when torchrun starts them:

  $ torchrun --nproc-per-node 2 -m dpplan train recipes/digits.yaml

Each draws Poisson batches from its own part of the examples, or, by any other scheme, the same batch as the others
and takes its part of that; the first adds up the clipped sums, adds the noise
once, and alone prints and writes. CPUs talk by gloo, GPUs by NCCL, one process each. Sums pass between them without
noise and unencrypted, so the network must be yours. When one dies, the others stop and the report says what was
spent; without a seed, --resume goes on with any number of processes.
"""

JSON = """\
Every command takes --json and then prints one object, which names its schema: dpplan.<command>/1, with a hyphen where
the command has two words (compare-plans; that of compare accountants is dpplan.compare/1). Of their own are
dpplan.check-explain/1, of check --explain; dpplan.audit-run/1 and dpplan.audit-membership/1, of an audit of a recipe
and with --attack, and each line of audits.jsonl. report.json of a run is dpplan.train/1. A call that fails as a whole
prints its schema and an `error` with code, kind, message and problems; where no command was named the schema is
dpplan.error/1. The number rises when a key goes or changes its meaning; new keys may come without notice.

Files in folders name theirs, too, and are for dpplan alone to read: dpplan.run/1 and dpplan.checkpoint/3 in that of a
run, dpplan.shadows/1 in that of --cache, dpplan.watch/1 in watch.private.json.

Every privacy figure is an object with `lower`, `upper`, `estimate`, `guarantee`, `accountant`, `assumptions` and
`why`. Its numbers are not rounded, and what has no bound is null: an UPPER has no lower, an ESTIMATE neither lower
nor upper. An accountant that refuses has null in place of the object, and a refusal.

Without --json, tables are drawn on a terminal; what is piped is plain text and stable.

Plans name the kind of each part: mechanism, sampling, adjacency and privacy_unit. dpplan verify reads these objects
back:

  dpplan epsilon --sigma 1.1 --n 60000 --batch 256 --epochs 60 --json
"""

PYTHON = """\
epsilon and delta take the words of the command line as keywords, and the answer is a Bound with lower, upper, guarantee
and assumptions, which a notebook shows as a table; all other commands are modules here:

  >>> import dpplan
  >>> dpplan.epsilon(sigma=1.1, n=60000, batch=256, epochs=60).headline
  'ε = 2.69677 at δ = 1e-06'
  >>> dpplan.delta(eps=3, sigma=1.1, n=60000, batch=256, epochs=60).headline
  'δ = 8.76944e-08 at ε = 3'

phases=[{"sigma": 2, "q": 0.01, "steps": 100}, ...] is a run whose noise or batch changes, spent=... what ran
before. Of a plan file (dpplan help plans) either takes the plan that is read from it:

  >>> from pathlib import Path
  >>> from dpplan.recipe.plan_file import read
  >>> cohorts = read(Path("recipes/plans/cohorts.yaml")).plan
  >>> dpplan.epsilon(phases=cohorts, delta=1e-6).headline
  'ε = 2.12452 at δ = 1e-06'

A plan can also be made once and asked many things:

  >>> from dpplan import accounting, plan, solve
  >>> run = plan.Plan.from_rate(noise_multiplier=4, sample_rate=0.01, steps=100)
  >>> accounting.epsilon(run, delta=1e-6).guarantee.name
  'CERTIFIED'
  >>> wanted = plan.Settings(examples=60000, batch_size=256, epochs=60)
  >>> round(solve.noise(wanted, 3, 1e-6).value, 6)
  1.034536

solve.noise and its siblings, compare.accountants, curve.profile, frontier.frontier, check.check, risk.assess,
verify.verify, recipe.load and train.run are the other commands. No module is loaded before it is used, and only train
and tune load torch. Errors are of dpplan.errors: PlanError holds all that is wrong with a call, NotApplicable is an
accountant without a theorem for the plan.
"""

REPRODUCING = """\
Every number in the documents can be had again from a checkout, and each figure of a plan in several independent
ways.

- Another method: the exact accountant holds its answer against Rényi DP from above and one event from below. A
contradiction is an internal error, and nothing is claimed.

- Ball arithmetic: --prove does a figure over to as many digits as are asked for (needs the extra 'prove').

  dpplan epsilon --sigma 4 --q 0.01 --steps 10000 --delta 1e-5 --explain

- Oracles: the tests compute the same figures with mpmath at high precision and import nothing from dpplan.
Certified intervals must contain every value, and published figures are reproduced within the tolerance that stands
beside each.

  $ make check          what has to pass before a change lands
  $ make test-all       the tests and the long sweeps
  $ make bench          accuracy and speed beside the other libraries
  $ make bench-train    training steps beside the other libraries

What those benchmarks gave, with date and machine, is in CONTRIBUTING.md under "What was measured". A run of dpplan
train with --seed repeats bit by bit on the same machine and protects nobody; its report names the software it ran
on. An old figure is accounted anew by dpplan verify.
"""

COMPLETION = """\
One line in the start-up file of your shell completes commands, options, and the names of accountants, rules,
recipes, samplings and adjacencies:

  $ eval "$(_DPPLAN_COMPLETE=bash_source dpplan)"       # bash: ~/.bashrc
  $ eval "$(_DPPLAN_COMPLETE=zsh_source dpplan)"        # zsh: ~/.zshrc
  $ _DPPLAN_COMPLETE=fish_source dpplan | source        # fish: config.fish
"""

PLANS = """
A budget is rarely spent on one run. A plan file says all of it, phase by phase, and the figure is for everything
together, composed exactly where the laws are known.

  adjacency: add-remove    # or replace-one, zero-out; once for the plan
  unit: example            # or user; with max_per_user
  n: 60000
  phases:
    - {name: counts, mechanism: {kind: laplace, epsilon: 0.2}, steps: 20}
    - name: train
      mechanism: {kind: gaussian, noise_multiplier: 3}
      sampling: {kind: poisson, sample_rate: 0.02}
      steps: 500
    - parallel:            # groups that share no record
        - {mechanism: {kind: laplace, epsilon: 0.2}}
        - {name: B, n: 20000, phases: [{mechanism: {kind: gdp, mu: 0.3}}]}
    - repeat: {law: geometric, mean: 10, score: public}  # a search
      phases: [{mechanism: {kind: gaussian, noise_multiplier: 8}}]
  public:
    - normalisation constants of other data

PLAN alone is taken by {plan_alone}. Commands that have --phases take it as --phases PLAN,
too, and those that have --spent, as solve has, as --spent PLAN for what ran before. Epsilon and delta say of each phase
what it costs alone, and what it adds at most to all the others.

The state of an Opacus accountant adds up with any neighbours, its steps at the sensitivity that a record has there. It
is of examples: with unit: user it takes max_per_user. What JAX Privacy and dp_accounting write is of examples, too, and
for the neighbours that it names.

What can be released, with its settings: dpplan help mechanisms.

A phase without sampling is for all records, and without steps it is one release. With sampling (kind, sample_rate or
batch_size, and what dpplan help sampling lists) it needs steps or epochs.

With query, a phase says what it asks, and the figure comes with how near the answer is, in units of the data:

  - {name: visits, query: {kind: count},
     mechanism: {kind: laplace, epsilon: 0.3}}
  - {query: {kind: sum, bounds: [0, 100], standard_error: 500},
     mechanism: {kind: gaussian}}

kind is count, sum, mean, histogram or quantile (with p and candidates; of exponential and permute-and-flip); bounds are
what values are clipped to, n is the public number of records of a mean, max_per_user how many of one user's records are
counted, chosen by nothing but that user's own. A record is in one bin of a histogram (of a user, each record that is
counted), and under zero-out a zeroed one in none. Bins and candidates are the same whatever the data say, and an empty
bin is released with its noise like others. A candidate's score is minus the distance between the records below it and p
of all records, those that there are: with p of a fixed n in its place it moves by 1 and not by max(p, 1 - p) under
add-remove, and is not this. The n of a mean counts records, and where a user is replaced by one who has more or fewer
it changes: then it has to be known anyway; it counts all records, those without a value too, and not those that pass a
filter. A value that is not a number adds nothing. A sum or mean under replace-one, of examples, with bounds that do not
contain 0 takes for granted that every record adds a value within them: one that is not a number adds the nearer bound
to 0, and no record is left out for what it says; else let the bounds contain 0. In place of a setting of laplace or
gaussian, standard_error says how much noise is wanted. The noise that is shown is to be added in full: Laplace of
scale sensitivity / ε, Gaussian of that standard error. A query is asked of whole users: it adds up with phases that
draw and clip users whole, and not with max_per_user for the plan.

dpplan solve PLAN --target-eps finds the noise that is left out (noise_multiplier, epsilon, mu), or is said to be open
(open: true), with a weight each: by shares of the budget, for the least error, or from given values by one factor.

  - {name: counts, mechanism: {kind: laplace}, weight: 2}
  - {name: sums, mechanism: {kind: laplace, epsilon: 0.1}, open: true}

  dpplan solve recipes/plans/two-stage-fine-tuning.yaml --target-eps 8

Or any one setting of one phase that has an order, beside a file that says all, such as --unknown train.sample_rate:
{unknowns}. What has none (a cap) is refused.

A phase may repeat adjacency and unit, and not differ in them.

Phases on groups that share no record stand under parallel: for each group a phase, a list of phases, or such a list
with a name and an n of its own. A plan then costs what one record costs at most: the phases for all with those of its
group, composed, and of all groups the largest δ at each ε, at the end. That takes for granted that no record (of the
unit user: no user) is in two groups of a block, and that a record's group follows from nothing but itself. Under
replace-one the new record may be in another group, and both pay; what such phases state then has to hold for a record
that is removed or added, too; and the n of a group, as the q, steps and divisor made of it, is then covered no more
than under add-remove (dpplan help adjacency). Groups within groups are written in the same way.

A search over settings that releases its best trial, and nothing else, stands under repeat:

  - name: search
    repeat: {law: geometric, mean: 10, score: public}
    phases:              # of one trial, all of which are repeated
      - mechanism: {kind: gaussian, noise_multiplier: 4}
        sampling: {kind: poisson, sample_rate: 0.02}
        steps: 500

A grid whose settings are all tried, three learning rates say, is no such search, whatever is released of it: write a
phase for each setting, and all of them are paid. repeat is for a number of trials that is drawn and not chosen, each
of which takes a setting at random and runs by itself, independently of all other trials, as dpplan tune does it.

law is how the number of trials is drawn, without a look at the data: poisson, geometric, logarithmic, negative-binomial
(with eta, above -1) or binomial (with chance); mean is the expected number. Geometric, logarithmic and
negative-binomial draw one trial at least (they are truncated); where another draws none, 'none' is released and it is
not drawn again. score says what decides: public, of what a trial releases and of public data, or released, by a phase
of each trial that stands among phases. A score on the private data that is not released with noise of its own is
neither. Of equal scores the winner is drawn, or is the first in the order of the draw: not the one that finished first.
How many trials there were, the losers, their times and the seed stay private. What the search costs is known from above
alone, by the privacy profile of a trial; so the figure of the whole plan is an upper bound (--accountant rdp gives that
of Papernot and Steinke 2022). dpplan compare tuning sets the laws side by side, and dpplan tune runs such a search.

  dpplan epsilon recipes/plans/dp-sgd-with-tuning.yaml --delta 1e-6
"""
