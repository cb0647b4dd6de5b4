"""What all benchmarks share: jobs, tables, commands."""
