# SPDX-License-Identifier: Apache-2.0
"""CSV files: what is wrong in them is named with its line, and tables of many devices."""

from __future__ import annotations

import pytest

from esptool.errors import FatalError, UsageError
from esptool.storage.nvs import Nvs, build, read_table
from esptool.storage.nvs.table import read_config, read_devices

HEAD = "key,type,encoding,value\nn,namespace,,\n"


def no_files(name: str) -> bytes:
    raise FatalError(f"Cannot read the file '{name}': No such file or directory.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no rows"),
        ("key,type,encoding\n", "'value' is missing"),
        ("key,type,encoding,value\nk,data,u8,1\n", "line 2: a namespace must come before"),
        (HEAD + "k,dta,u8,1\n", "line 3: 'dta' is not a valid type.\nDid you mean 'data'?"),
        (HEAD + "k,data,u9,1\n", "line 3: 'u9' is not a valid encoding"),
        (HEAD + "k,data,u8,\n", "line 3: the value is not a number"),
        (HEAD + "k,data,u8\n", "line 3: the value of 'k' is missing"),
        (HEAD + "k,data,u8,256\n", "line 3: 'k': 256 is out of the range of u8: 0 to 255"),
        (HEAD + "k,data,i8,-129\n", "out of the range of i8"),
        (HEAD + ",data,u8,1\n", "'' is not a valid key"),
        (HEAD + "sixteen_letters_,data,u8,1\n", "has 1 to 15 bytes, not 16"),
        (HEAD + "k,data,hex2bin,123\n", "not hex digits"),
        (HEAD + "k,data,hex2bin,xy\n", "not hex digits"),
        (HEAD + "k,data,base64,abc\n", "not Base64"),
        (HEAD + "k,data,base64,\u00e4\u00f6-!\n", "not Base64"),
        (HEAD + "k,file,binary,absent\n", "line 3: Cannot read the file 'absent'"),
        (HEAD + f"k,data,string,{'x' * 4000}\n", "may have 3999"),
        (HEAD + "k,data,blob_fill(2;0x00),abc\n", "has 3 bytes, more than 2"),
        (HEAD + 'a,data,string,"two\nlines"\nb,data,u8,x\n', "line 5: the value is not a number"),
        (HEAD + "".join(f"n{i},namespace,,\n" for i in range(255)), "no more than 254"),
        (HEAD + f"k,data,hex2bin,{'00' * 20000}\n", "line 3: 'k': The values do not fit"),
    ],
)
def test_says_what_is_wrong_and_where(text: str, said: str) -> None:
    with pytest.raises(FatalError) as error:
        build(read_table(text, "t.csv", no_files).rows, 0x5000)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("size", "version"), [(0, 2), (0x1001, 2), (-0x1000, 2), (1 << 40, 2), (0x3000, 3)]
)
def test_refuses_sizes_and_versions_that_there_are_not(size: int, version: int) -> None:
    with pytest.raises(UsageError):
        build([], size, version=version)


CONFIG = """\
app,namespace,
firmware_key,data,hex2bin

serial_no,data,string,REPEAT
net,namespace,
device_no,data,i32
serial_no,data,string
"""
VALUES = """\
id,firmware_key,serial_no,note,device_no,serial_no

a1,1a2b,A1,x,101,S1

b2,3c4d,,y,102,S2
"""


def test_each_line_of_values_is_a_device() -> None:
    devices = list(read_devices(read_config(CONFIG, "c.csv"), "c.csv", VALUES, "v.csv", no_files))
    found = []
    for device in devices:
        nvs = Nvs(build(device.table.rows, 0x3000))
        found.append({f"{e.namespace}/{e.key}": e.value for e in nvs.entries()})
    assert found == [
        {
            "app/firmware_key": b"\x1a\x2b",
            "app/serial_no": "A1",
            "net/device_no": 101,
            "net/serial_no": "S1",
        },
        {
            "app/firmware_key": b"\x3c\x4d",
            "app/serial_no": "A1",  # REPEAT: that of the first device
            "net/device_no": 102,
            "net/serial_no": "S2",
        },
    ]
    assert [d.columns["id"] for d in devices] == ["a1", "b2"]


@pytest.mark.parametrize(
    ("config", "values", "said"),
    [
        ("", VALUES, "'c.csv' holds no rows"),
        ("app,namespace,\nk,data\n", VALUES, "'c.csv', line 2: a row has a key"),
        ("app,namespace,\nk,number,u8\n", VALUES, "'c.csv', line 2: 'number' is not a valid type"),
        (CONFIG, "", "'v.csv' holds no values"),
        (CONFIG, "id,firmware_key\n1,2\n", "'v.csv' has no column 'serial_no'"),
        (CONFIG, VALUES + "1,2,3\n", "'v.csv', line 6: it has 3 values, and there are 6 columns"),
        (CONFIG, VALUES.partition("\n")[0], "has no line of values"),
        (CONFIG, VALUES.replace("101", "many"), "'v.csv', line 3: the value is not a number"),
    ],
)
def test_says_what_is_wrong_with_the_table_of_devices(config: str, values: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        list(read_devices(read_config(config, "c.csv"), "c.csv", values, "v.csv", no_files))
    assert said in str(error.value)
