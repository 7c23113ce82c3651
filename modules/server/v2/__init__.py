"""/api/v2: our own API beside A1111's: jobs, pictures, models and choices as resources, typed throughout.

Knows HTTP and the shapes; the App does the work. Start reading at `shapes`, then a topic's `routes`.
"""
