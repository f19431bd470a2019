"""Sound while it is recorded: from a microphone or a pipe through a model, window by window."""
