"""One module for each outside thing. Adapters know the core and never each other."""
