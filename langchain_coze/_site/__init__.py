"""One turn of an agent, or one run of a workflow, that is served at coze.site."""
