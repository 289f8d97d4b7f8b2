"""Work on the storage that administrators ask the registry for, instead of doing it beside the data.

A run is a row in the database: any process of any replica can be asked for it, makes it or tells how far it is, and
goes on with it when the one that was at it died. :mod:`~image_registry.upkeep.ledger` keeps those rows.
"""
