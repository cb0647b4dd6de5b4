"""Errors against exact values, and scores of predicted uncertainties."""
