"""The command line ``lung-srad``: options, messages and exit codes.

Commands parse what was typed and call one function of the package; the work is done there.
"""
