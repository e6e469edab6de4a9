"""Many clients for a long time on a server with faults; see `__main__`."""
