"""The command line's door: `txt2img` makes pictures without a page, `doctor` reports on the installation.

Knows how a request is typed and how a result is printed; knows nothing about HTTP, pages or torch. Imports nothing here,
because `doctor` must also run before anything is installed. Start reading at `modules.cli.txt2img.main`.
"""
