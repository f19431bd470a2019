"""SPRSound: file layout, names, annotations, the tasks of its challenge, and the manifests made of them.

What other data sets need too is one folder up.
"""
