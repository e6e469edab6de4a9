"""A project of coze.site: its routes, frames and errors (wire 9).

The content and order of the frames follow the code of `coze-coding-utils` 0.2.8, whose replies are
recorded.
"""
