"""A page that runs a model in the browser alone: a folder for any static web server."""
