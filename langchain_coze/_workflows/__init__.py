"""Workflow runs: validate the inputs, start a run, read it, resume it."""
