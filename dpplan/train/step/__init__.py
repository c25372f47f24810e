"""One private step: draw a batch, clip and sum, add noise, update."""
