"""Real processes, really killed: at every step of a load and of an extract, and what the next try makes of it."""
