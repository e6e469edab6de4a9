"""The Coze protocol: requests, replies, events, connections. Does not import LangChain."""
