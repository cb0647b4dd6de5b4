"""The contracts that anyone's strategy, surrogate or oracle can be held to."""
