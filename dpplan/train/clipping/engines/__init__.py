"""The engines, each of which gives the clipped sum of a batch: book-keeping, vmap, one example at a time."""
