"""Whether the examples of a batch can meet in a model, and whether it remembers them."""
