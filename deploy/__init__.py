"""Bringing the system into being: `python -m deploy.prepare` declares the topology and migrates, then exits."""
