"""The surrogate that chooses among the others, by their held-out errors."""
