"""A real Kubernetes on one Debian machine, from pinned Go modules and Debian packages, for tests and the demo.

The control plane runs as plain processes; each node is a set of namespaces that behaves as a machine of its own and
takes everything with it when it ends. Everything lies in one cache folder. The standard library is all it needs.
"""
