"""What can do a network's work in place of torch's eager mode: rows, their graphs on the disk, the comparison before they are believed.

Knows networks of diffusers, and nothing of requests and models' names. The rows can be listed without torch. Start reading at
`table.BACKENDS`, then `backing.Backing.standing_in`.
"""
