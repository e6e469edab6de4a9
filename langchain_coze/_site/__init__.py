"""One turn of a coze.site agent, or one run of a coze.site workflow."""
