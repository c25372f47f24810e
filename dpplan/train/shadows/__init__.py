"""Membership inference against a recipe: its own trainer makes the model that is attacked and all that help.

    found = attacked(train.plan(my_recipe), ShadowAttack(("lira", "rmia"), shadows=16, jobs=8, folder=Path("shadows")))

Processes are joblib's. Within its context of another back end, dask's or ray's, the models are trained on that
cluster; only this process writes to the folder.

one_model   a whole run on the examples that its coins let in, and how sure it is of every label
cache       the folder that keeps what each said
run         all of them, the attacks, and the verdict
"""

from dpplan.train.shadows.run import Membership, ShadowAttack, attacked

__all__ = ["Membership", "ShadowAttack", "attacked"]
