"""How the documentation becomes a site: what is generated from the code, and what MkDocs is given beside ``docs/``."""
