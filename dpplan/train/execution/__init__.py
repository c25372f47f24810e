"""One run from its first step to its report, in one process or in several."""
