# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A data plane for the lab: real IKEv2 clients and servers in network namespaces, behind a load balancer of nftables rules.

``docs/data-plane.md`` says what of it is real, and what stands for something else. Needs root.
"""
