"""Our surrogates and samplers beside those of other packages."""
