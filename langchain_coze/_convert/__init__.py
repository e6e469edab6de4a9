"""Conversions between LangChain values and Coze values. Pure functions, no I/O."""
