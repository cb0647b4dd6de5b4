"""The strategies that come with adaptsample: one file each, found with no list to edit."""
