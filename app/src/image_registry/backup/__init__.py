"""Backups of a registry: what people made of it, and every image, in a folder that can be read without this program.

Level 3, above ``mirroring``, which moves the images. The Ansible modules are its doors. What runs, renews itself or can
be installed again is not in a backup: see docs/adr/0087-a-backup-is-what-people-made-and-every-image.md.
"""
