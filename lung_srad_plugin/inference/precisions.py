"""The precisions that a model computes in; here alone, so that the command line need not import torch to list them."""

PRECISIONS = ("fp32", "bf16", "fp16")
