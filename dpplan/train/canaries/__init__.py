"""An audit by a run of its own: canaries through sampler, clipping and noise of the reference trainer.

found = audited(train.plan(my_recipe), Canaries(gradient=5000, mislabelled=150))

model_with_canaries  in which every canary has a coordinate of its own
likelihood           how a canary's releases are scored
noise_pattern        whether noise repeats itself
run                  the run, what it released of each canary, and the verdict
"""

from dpplan.train.canaries.run import Audited, Canaries, audited

__all__ = ["Audited", "Canaries", "audited"]
