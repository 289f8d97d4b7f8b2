# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The product's own Python package, which no index has: what is said where it is missing.

Private to this collection.
"""

from __future__ import annotations

from ansible.module_utils.basic import missing_required_lib

PACKAGE = "alauda-image-registry"


def missing() -> str:
    """Names the package, the Python that lacks it, and where it comes from."""
    return missing_required_lib(
        PACKAGE,
        reason="by the modules of this collection that do the registry's own work. It is built from the folder app/ of "
        "the product's sources, of the collection's version (pip wheel --no-deps --wheel-dir wheels app/; then pip "
        "install wheels/alauda_image_registry-*.whl for this Python)",
    )
