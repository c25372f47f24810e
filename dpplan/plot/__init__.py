"""Pictures of results, written to a file; the only folder that imports matplotlib."""
