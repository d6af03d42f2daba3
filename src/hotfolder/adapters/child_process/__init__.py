"""A Python process of our own that answers messages one behind the other.

`parent` is our end, on the event loop, `child` the other one. Nothing is imported here: the child is to
be there soon, and asyncio would be a third of its start.
"""
