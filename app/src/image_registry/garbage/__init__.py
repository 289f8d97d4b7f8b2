"""What nothing refers to any more: links of deleted things, blobs that no image is made of (design, D9).

:mod:`~image_registry.garbage.links` keeps the links of a repository equal to the tables,
:mod:`~image_registry.garbage.marking` finds out which blobs are referred to, and
:mod:`~image_registry.garbage.collection` plans and executes a run.
"""
