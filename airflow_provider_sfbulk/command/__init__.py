"""The command ``sfbulk``: what a data engineer types to try a file, or to look at a job."""
