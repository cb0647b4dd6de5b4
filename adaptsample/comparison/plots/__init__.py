"""Pictures of one run, of rivals side by side, and moving ones."""
