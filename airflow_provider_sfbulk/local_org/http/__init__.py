"""What every call passes: the application, its routes, bodies in and out, and the org's own pages."""
