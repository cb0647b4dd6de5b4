"""How fast selections and trainings are, as ratios within one run."""
