"""Measurements: Carillon beside the raw limit and beside what a user would pick instead, in the same run."""
