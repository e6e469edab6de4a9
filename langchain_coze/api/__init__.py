"""The Coze protocol, without anything of LangChain: events, models, procedures, transport."""
