"""What is lost when processes, disks and workers fail."""
