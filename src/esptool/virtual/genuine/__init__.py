# SPDX-License-Identifier: Apache-2.0
"""Executes a chip's own ROM, from a file that the user has, on registers modelled here."""
