"""One run of a workflow: check its input, start it, read it, resume it."""
