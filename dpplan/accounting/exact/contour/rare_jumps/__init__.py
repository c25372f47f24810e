"""The contour where jumps are rare: runs taken apart by their largest step, each part with a transform of its own."""
