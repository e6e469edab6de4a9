"""The Coze protocol: requests, replies, events and connections. Imports nothing of LangChain."""
