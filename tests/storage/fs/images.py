# SPDX-License-Identifier: Apache-2.0
"""Content of files, and an image that a chip's code has worked on."""

from __future__ import annotations

import base64
import zlib


def sample(size: int) -> bytes:
    """Bytes that differ with the size."""
    return bytes((i * 7 + size) & 0xFF for i in range(size))


#: A SPIFFS of 32 KiB with ESP-IDF's parameters, after some 120 calls of the C code.
CHIP_IMAGE = zlib.decompress(
    base64.b85decode(
        b"c-rmV+fGwK6b9gb4mBwfD+N4ZG*t{(C=dlay@kGkH{2LW2m)$@z2I?q04{c-GrO2*P|7Zoo#|Tt#|<HA"
        b"!oO#_X4Y;q8yIqM16=S^w2r?G1B?E)UM7ruj`{1F12)X^K9X=r+(@E%RW`iqkHSBH>H)L9v$uPANy2!+"
        b"9QN=YAMg>MC6osjVij5n-oNsP@jnZ}rx3?~f8){_9$(Oqb&Y<{{}&CN^WU83KXEbtr`?@V<KGNZ<tC=3"
        b"%mNeZ|0}&r*a7LzZ<XhFS?15S{@p?gGiZydf3Ni_>!0HMaavo%F31nOvi^U~&kXy2)$`wFnZLgN-=dfw"
        b"+r1<fl6W)@8^*u5@YhZfi%Bdc(fyCH`oCGsN$LOm-~IpA_Ne{OU0I7lT=R<h%g*HX|M&3#3wS7M|NBO-"
        b"a{sG3zg3>!WtqS3`@cs@*Z<1(|1mmvf~TVD|69F=13SC}U<PqDFlA31eg@L_KI^_+rqw+D<@%>OzsoXz"
        b"efK{+if$#nBsP+Gd0iF_6y<MezPB=2yPs?9e-`mf%Kqo9%Km2=&(Xz-r2S9vPOrHB>&|bL=XY7=uk-tl"
        b"MN=;u-~W|gHC<UNiFOiyet>1q*S{;T|EuUpTK`F}RX@imOhiOPL_|a+T+h$4|0g0MA|fIp60Ym#+5Zy}"
        b"5fKp)5ec{A@38+TA|fIpA|e$q@_|osE&CQKpMSZJFF3%VluHxOKj|kv>txc-KdJQmyG>!w|BC0IZt7K@"
        b"|EW5^Ri58vnZLI8f7SKxE56}7`l8N%-qNeAf2#9a<@sHf`LnHm$M{hmkS?kIseb;sQJw!6pX5UB"
    )
)
