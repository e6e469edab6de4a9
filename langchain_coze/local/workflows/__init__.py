"""Workflows of the local server: what they are, how they run, what they answer (wire 4)."""
