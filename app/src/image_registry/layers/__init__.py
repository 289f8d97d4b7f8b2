"""Layers of images: what a stack of them means as files, and what an image with more of them is.

Level 3. Plans are pure; one module reads layers, one writes files.
"""
