"""The subsampled Gaussian on a lattice of losses: for few steps and rare jumps, where a contour finds no hold."""
