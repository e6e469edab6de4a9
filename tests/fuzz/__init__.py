"""Fuzz targets for the parsers; see `__main__`."""
