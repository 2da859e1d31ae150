"""Where a try can be struck: between it and the world."""
