# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of images Kubernetes limits, by the names of the options: one table for writing and for reading.

Private to this collection. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]

OF_ONE = {
    "image_size": ("alauda.io/Image", "storage"),
    "stream_tags": ("alauda.io/ImageStream", "alauda.io/image-tags"),
    "stream_images": ("alauda.io/ImageStream", "alauda.io/images"),
}
"""Type and resource of a LimitRange, by option."""

OF_ALL = {
    "streams": "alauda.io/imagestreams",
    "images": "alauda.io/images",
    "tags": "alauda.io/image-tags",
    "storage": "alauda.io/image-storage",
}
"""Resource of a ResourceQuota, by option."""


def of_one(ranges: Iterable[Document]) -> list[dict[str, str]]:
    """What LimitRanges say of one image and of one stream: object, limit and its value."""
    names = {place: option for option, place in OF_ONE.items()}
    return [
        {"limit_range": document["metadata"]["name"], "limit": names[item["type"], resource], "value": str(value)}
        for document in ranges
        for item in (document.get("spec") or {}).get("limits") or ()
        for resource, value in (item.get("max") or {}).items()
        if (item.get("type"), resource) in names
    ]


def of_all(quotas: Iterable[Document]) -> list[dict[str, str]]:
    """What ResourceQuotas say of all of a namespace; ``used`` is empty until somebody has counted."""
    names = {resource: option for option, resource in OF_ALL.items()}
    return [
        {
            "resource_quota": document["metadata"]["name"],
            "limit": names[resource],
            "value": str(value),
            "used": str(((document.get("status") or {}).get("used") or {}).get(resource, "")),
        }
        for document in quotas
        for resource, value in ((document.get("spec") or {}).get("hard") or {}).items()
        if resource in names
    ]
