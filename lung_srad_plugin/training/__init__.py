"""The recipe: from an experiment's settings to a trained, evaluated and exported model.

This folder joins the others; nothing below it imports from it.
"""
