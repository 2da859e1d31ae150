"""The process that is killed, and how it is started."""
