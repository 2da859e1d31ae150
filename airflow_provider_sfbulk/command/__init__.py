"""The command ``sfbulk``: try a file or look at a job from the shell."""
