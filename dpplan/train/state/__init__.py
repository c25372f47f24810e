"""What of a run lies on disk: its folder, its checkpoint, the count of its steps, its report."""
