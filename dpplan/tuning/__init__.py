"""A search over settings that releases its best trial and nothing else, planned and run.

search_plan   what will be searched, and what it costs
trial_count   how many trials, drawn
search        the trials, and what is released of them
"""
