# SPDX-License-Identifier: Apache-2.0
"""The v5 Python names for certificates of the Secure Debug Controller; see `espsecure.sdc`."""

from __future__ import annotations

from espsecure import certificates
from espsecure.cli.common import ask_pin
from espsecure.cli.report import speak


def generate_sdc_certificate(
    private_key_file: str | None = None,
    output_file: str = "sdc_cert.bin",
    usc: str | None = None,
    enable_jtag: bool = False,
    enable_download_reuse: bool = False,
    enable_force_spi_boot: bool = False,
    chip_info_file: str | None = None,
    mac: str | None = None,
    sdc_session_counter: int = 0,
    hsm: bool = False,
    hsm_config_file: str | None = None,
    pub_key_file: str | None = None,
) -> None:
    """Write a certificate."""
    certificates.make_certificate(
        output_file,
        keyfile=private_key_file,
        hsm_config=hsm_config_file if hsm else None,
        pub_key=pub_key_file,
        usc=usc,
        enable_jtag=enable_jtag,
        enable_download_reuse=enable_download_reuse,
        enable_force_spi_boot=enable_force_spi_boot,
        chip_info=chip_info_file,
        mac=mac,
        sdc_session_counter=sdc_session_counter,
        ask_pin=ask_pin,
        listener=speak,
    )


def digest_sdc_public_key(
    private_key_file: str | None = None,
    public_key_file: str | None = None,
    output_file: str | None = None,
    hsm: bool = False,
    hsm_config_file: str | None = None,
) -> None:
    """Write the digest of a public key as eFuses hold it."""
    certificates.digest_certificate_key(
        output_file or "sdc_pub_key_digest.bin",
        keyfile=private_key_file,
        pub_key=public_key_file,
        hsm_config=hsm_config_file if hsm else None,
        ask_pin=ask_pin,
        listener=speak,
    )
