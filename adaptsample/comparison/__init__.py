"""Comparison: tables and pictures made from run files, which are never run again."""
