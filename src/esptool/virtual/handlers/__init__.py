# SPDX-License-Identifier: Apache-2.0
"""URL handlers for pyserial: it imports `protocol_<scheme>` from the packages it was told of."""
