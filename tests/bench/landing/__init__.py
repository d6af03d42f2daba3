"""`make bench-landing`: whatever lands is found, and only when it is whole."""
