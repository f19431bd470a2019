"""The command line ``lung-srad``: options, messages and exit codes.

Each command has a file; it reads its options and calls one function of the package, which does the work. No other
folder imports from here.
"""
