"""The fast engine of the subsampled Gaussian: delta as an integral along a contour."""
