"""Calling oracles anywhere: questions and answers, workers, executors, dispatcher."""
