"""The tests, one folder a room. tests/conftest.py holds what all share."""
