"""A project of coze.site, as its server code answers (wire 9).

What the frames hold and in which order they come follows the code of `coze-coding-utils` 0.2.8,
whose replies are recorded.
"""
