"""HF_Lung V1 and V2: names, label files, the rule that makes classes of breath phases, and the manifests.

What other data sets need too is one folder up.
"""
