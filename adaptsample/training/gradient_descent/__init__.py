"""Descent by stochastic gradients: recipe and compiled program."""
