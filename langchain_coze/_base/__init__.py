"""Pydantic fields and behaviour that the public classes share."""
