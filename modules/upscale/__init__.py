"""Making pictures larger: filters, networks from model files, and the ways to enlarge a latent.

Knows nothing about requests or where results go. torch and spandrel are loaded when the first network is used.
Start reading at `modules.upscale.enlarge.upscale`; the list of upscalers is made in `modules.upscale.table`.
"""
