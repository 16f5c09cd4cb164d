"""Bringing the system into being: `python -m deploy.prepare` declares and migrates, then exits."""
