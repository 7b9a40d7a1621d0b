# SPDX-License-Identifier: Apache-2.0
"""What `tools/gen.py` makes of `facts/`; each module has one `outputs(facts)`."""
