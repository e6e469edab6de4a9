"""Faults on demand: what breaks in a reply, and how."""
