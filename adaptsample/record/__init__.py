"""The durable record of a run, and what is made of it."""
