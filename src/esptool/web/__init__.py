# SPDX-License-Identifier: Apache-2.0
"""The tool in a web page: what the page calls, and what makes the page.

`engine` runs inside the page, on Python that the page brings with it; `build` and `serve` run on a
developer's machine. Nothing is imported here, so that neither carries the other.
"""
