"""A search over settings that releases its best trial and nothing else, planned and run.

search_plan   what will be searched, and what it costs
trial_count   how many trials, drawn
search        the trials, and what is released of them
"""

from dpplan import called_modules

called_modules.when_called(
    __name__,
    "What a search would cost, of which tuning.search.searched releases the best trial, is\n\n"
    "    from dpplan.recipe import grid\n"
    "    from dpplan.mechanism.trials import Trials\n"
    "    from dpplan.tuning import search_plan\n"
    "    recipe = dpplan.recipe.load('recipes/digits.yaml')\n"
    "    tried = grid.read(['training.learning_rate=0.25,0.5'])\n"
    "    search_plan.planned(recipe, tried, Trials('geometric', 5), search_plan.Score(0.1), 1437)\n\n",
)
