"""The experiments from which this project grew, a file each: as they were, and at our best."""
