"""Tools for chat programs over the Model Context Protocol (MCP): make pictures, caption them, look at jobs and models.

Nothing here is imported unless it is asked for (--mcp, or `launch.py mcp`), since the SDK takes a moment to load. Knows the App and
the SDK; nothing about single clients. Start reading at `server.make`.
"""
