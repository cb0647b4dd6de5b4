"""Words that all speak: points, domains, data sets, randomness, files."""
