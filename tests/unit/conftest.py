# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the strict HTTP expectations available to all unit tests, and lets none depend on how busy the machine is.

`make test` tries fifty examples of each property, `make test-all` a thousand (`--hypothesis-profile=thorough`).
"""

from hypothesis import HealthCheck, settings

from expectations import expecting, no_pauses, pauses, raw_faults

settings.register_profile("untimed", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("untimed"), max_examples=1000)
settings.load_profile("untimed")

__all__ = ("expecting", "no_pauses", "pauses", "raw_faults")
