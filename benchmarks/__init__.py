"""Measurements of the library, each a folder that is run as a module."""
