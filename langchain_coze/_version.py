"""The version of langchain-coze: this line is the only place that holds it."""

__version__ = "0.2.0"
