"""The HTTP door against a job room that the test conducts; tests/server/test_live.py goes through the real one."""
