"""What a model says beyond values: curvature, loss surfaces, where errors come from."""
