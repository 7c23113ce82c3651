"""The A1111 face: what scripts and extensions written for AUTOMATIC1111 1.10 import, call and are called by.

Guests are executed with an `import` of their own that offers them these names; nothing is put into sys.modules and nothing of ours is
changed. The worker process runs their hooks, the web process shows their controls without torch. docs/extensions.md says what is offered.
Start reading at `modules.compat.shelf` (web process) and `modules.compat.house` (worker).
"""
