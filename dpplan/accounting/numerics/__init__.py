"""What accountants compute with: pure functions of numbers that know nothing of plans, mechanisms or privacy."""
