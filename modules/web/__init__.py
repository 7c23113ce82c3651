"""The page: a Gradio view of the App. Knows the controls, tabs, styles and scripts that people see.

Knows nothing about how pictures are made, and holds no state: jobs live in the App, the form in the browser. Gradio is
imported late and in the background, so that the server answers at once. Start reading at `mount`.
"""

from modules.web.mounting import mount

__all__ = ["mount"]
