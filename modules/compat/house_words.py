"""The one word that the page and the worker's house of scripts share."""

PICTURE = "__picture__"  # key of an argument that names a picture of the input store
