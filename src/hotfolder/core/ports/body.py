"""Bytes that are handed on without a copy."""

Body = bytes | memoryview
