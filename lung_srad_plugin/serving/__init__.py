"""A classifier as a service: limits and workers, the HTTP API, the page, and the server that offers both.

Nothing here reads a path that a client names: a recording is what was uploaded, and its file name is a label.
"""
