# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name and shows each step while it is done."""

from __future__ import annotations

from ansible_collections.alauda.registry.plugins.action.registry_release import ActionModule

__all__ = ["ActionModule"]
