"""The Coze protocol: requests, replies, events, connections. Does not import LangChain.

"Wire section N" in a docstring is a section of `docs/wire.md`, which has the source of each fact.
"""
