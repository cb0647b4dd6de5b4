"""The loop: ask, evaluate, tell, and what it keeps in between."""
