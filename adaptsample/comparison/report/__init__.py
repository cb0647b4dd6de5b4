"""One HTML page about all runs below some folders, made from run files."""
