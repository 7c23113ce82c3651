"""From a bare Python to an installed program: checks, the virtual environment, the test rings.

Standard library only: all of it runs before anything is installed. Knows nothing about models, pages or jobs.
Start reading at `modules.setup.environment.ensure`.
"""
