"""Timings of `langchain_coze` beside other integrations: `python -m tests.benchmarks`."""
