"""A whole registry is carried from one medium to another, and nothing is believed that was not read."""
