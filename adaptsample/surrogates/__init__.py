"""Surrogates: recipes for a stand-in of the oracle, found by name with no list to edit."""
