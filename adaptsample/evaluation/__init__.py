"""Calling oracles anywhere: questions and answers, workers, executors, and what brings them together."""
