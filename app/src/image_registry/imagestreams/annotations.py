"""Annotations of the Image API that are written behind one door and read behind another, such as by pruning."""

MANAGED = "image.alauda.io/managed"
"""Annotation of an Image whose content lies in this registry (parity reference 1.3 and 9.1)."""

UNPULLED = "image.alauda.io/unpulled-since"
"""Annotation of an ``ImageStreamImage``, made when it is read: since when nobody has pulled the image, which is at most
as long as the stream has it."""
