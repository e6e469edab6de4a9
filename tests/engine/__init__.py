"""Tests on Ray, the distributed engine; they need the dependency group `engine`."""
