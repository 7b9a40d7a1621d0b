# SPDX-License-Identifier: Apache-2.0
"""`build` gives what the public generator gives, byte for byte; each reads the other's."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from esp_idf_nvs_partition_gen import nvs_partition_gen as public
from hypothesis import given, settings
from hypothesis import strategies as st

from esptool.errors import FatalError
from esptool.storage.nvs import Nvs, NvsKeys, build, read_table

KEY = bytes(range(64))
HEAD = "key,type,encoding,value\n"
FILES = {
    "hex": b"0123456789abcdef\n",
    "text": b"line one\r\nline two\n",
    "base64": b"AQIDBAUGBwgJq83v\n",
    "large": bytes(range(256)) * 20,
}


def theirs(text: str, size: int, version: int, key: bytes | None) -> bytes | None:
    """What the public generator makes; None where it fails."""
    out = io.BytesIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            room, read_only = public.check_size(hex(size))
            numbers = {1: public.Page.VERSION1, 2: public.Page.VERSION2}
            with public.nvs_open(
                out, room, numbers[version], key is not None, key, read_only=read_only
            ) as nvs:
                lines = filter(lambda line: line[0] != "#", io.StringIO(text, newline=None))
                for row in csv.DictReader(lines):
                    values = (row["key"], row["type"], row["encoding"], row["value"])
                    public.write_entry(nvs, *values)
    except Exception:
        return None
    return out.getvalue()


def ours(text: str, size: int, version: int, key: bytes | None) -> bytes | None:
    """What we make; None where we refuse."""
    keys = None if key is None else NvsKeys(key)
    try:
        table = read_table(text, "table.csv", lambda name: Path(name).read_bytes())
        return build(table.rows, size, version=version, keys=keys)
    except FatalError:
        return None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blob(size: int) -> str:
    return (bytes(range(1, 256)) * 40)[:size].hex()


def string(size: int) -> str:
    return ("Lorem ipsum, dolor " * 300)[:size]


TABLES = {
    "numbers": "n,namespace,,\n"
    + "".join(
        f"{kind}{i},data,{kind},{value}\n"
        for kind, values in {
            "u8": (0, 255),
            "i8": (-128, 127),
            "u16": (0, 65535),
            "i16": (-32768, 32767),
            "u32": (0, 4294967295),
            "i32": (-2147483648, 2147483647),
            "u64": (0, 2**64 - 1),
            "i64": (-(2**63), 2**63 - 1),
        }.items()
        for i, value in enumerate(values)
    ),
    "strings": "# comment\nn,namespace,,\ne,data,string,\n\n"
    's,data,string,"with, comma\nand ""lines"""\nü,data,string,süß\n',
    "blobs": "n,namespace,,\na,data,hex2bin,00ff\nb,data,base64,MTIzYWJj\nc,data,binary,abc\n"
    "d,data,hex2bin,\ne,data,blob_fill(40;0xA5),abc\nf,data,blob_sz_fill(8;0x00),abc\n",
    "files": "n,namespace,,\na,file,hex2bin,hex\nb,file,string,text\nc,file,base64,base64\n"
    "d,file,binary,large\ne,data,u8,1\nf,file,binary,large\n",
    "nothing": "n,namespace,,\n",
    "page by page": "n,namespace,,\n" + "".join(f"k{i},data,u8,{i % 256}\n" for i in range(260)),
    "two namespaces": "a,namespace,,\nk,data,u8,1\nb,namespace,,\nk,data,u8,2\n",
    "wi-fi": "nvs.net80211,namespace,,\nsta.ssid,data,binary,home\nsta.pswd,data,binary,pw\n"
    "ap.ssid,data,binary,point\nap.passwd,data,binary,secret12\nap.authmode,data,u8,3\n",
    "twice": "n,namespace,,\nk,data,u8,1\nk,data,u8,2\n",
}
# Where pages end is where layouts differ: values of every length around that.
for used in (0, 1, 60, 61, 62, 120, 122, 123, 124, 125):
    before = "n,namespace,,\n" + "".join(f"k{i},data,u8,1\n" for i in range(used))
    for size in (1, 32, 33, 1984, 3936, 3968):
        TABLES[f"string {size} behind {used}"] = f"{before}s,data,string,{string(size - 1)}\n"
        TABLES[f"blob {size} behind {used}"] = f"{before}b,data,hex2bin,{blob(size)}\nz,data,u8,1\n"
for size in (3999, 4000, 4001, 8000, 9000):
    TABLES[f"blob {size}"] = f"n,namespace,,\nb,data,hex2bin,{blob(size)}\n"


@pytest.mark.parametrize("name", TABLES)
def test_an_image_is_that_of_the_public_generator(name: str, folder: Path) -> None:
    text = HEAD + TABLES[name]
    made = 0
    for size in (0x1000, 0x2000, 0x3000, 0x5000):
        for version in (1, 2):
            key = KEY if (size + version) % 2 else None
            expected, found = theirs(text, size, version, key), ours(text, size, version, key)
            assert found == expected, (hex(size), version)
            made += expected is not None
    assert made


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"s,data,string,{'x' * 3999}", "a string that fills a page"),
        ("k,data,u8,0x10", "numbers with 0x"),
    ],
)
def test_takes_more_than_the_public_generator(line: str, reason: str, folder: Path) -> None:
    text = f"{HEAD}n,namespace,,\n{line}\n"
    assert theirs(text, 0x4000, 2, None) is None, reason
    image = ours(text, 0x4000, 2, None)
    assert image is not None
    assert not Nvs(image).problems
    assert len(Nvs(image).entries()) == 1


def test_goes_on_with_a_namespace_where_the_public_generator_takes_the_one_before() -> None:
    text = f"{HEAD}a,namespace,,\nk,data,u8,1\nb,namespace,,\na,namespace,,\nl,data,u8,2\n"
    table = read_table(text, "t.csv", lambda _: b"")
    found = Nvs(build(table.rows, 0x3000))
    assert [(e.namespace, e.key) for e in found.entries()] == [("a", "k"), ("a", "l")]
    assert "gone on with" in table.remarks[0]


VALUES = st.one_of(
    *(
        st.tuples(st.just(f"{sign}{bits}"), st.integers(low, low + (1 << bits) - 1).map(str))
        for bits in (8, 16, 32, 64)
        for sign, low in (("u", 0), ("i", -(1 << bits - 1)))
    ),
    st.tuples(st.just("string"), st.integers(0, 3900).map(string)),
    st.tuples(st.just("hex2bin"), st.integers(0, 6000).map(blob)),
    st.tuples(
        st.just("base64"), st.binary(max_size=100).map(lambda b: base64.b64encode(b).decode())
    ),
    st.tuples(st.just("binary"), st.integers(0, 200).map(lambda n: "b" * n)),
)


@settings(max_examples=60)
@given(
    st.lists(st.lists(VALUES, max_size=25), min_size=1, max_size=4),
    st.sampled_from([1, 2, 2]),
    st.sampled_from([None, KEY]),
    st.sampled_from([0x3000, 0x8000, 0x20000]),
)
def test_any_table_gives_the_same_image_and_is_read_back(
    spaces: list[list[tuple[str, str]]], version: int, key: bytes | None, size: int
) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["key", "type", "encoding", "value"])
    wanted = {}
    for s, values in enumerate(spaces):
        writer.writerow([f"space{s}", "namespace", "", ""])
        for v, (encoding, value) in enumerate(values):
            writer.writerow([f"key{v}", "data", encoding, value])
            wanted[f"space{s}", f"key{v}"] = value
    image = theirs(out.getvalue(), size, version, key)
    assert ours(out.getvalue(), size, version, key) == image
    if image is None:
        return
    found = Nvs(image, None if key is None else NvsKeys(key))
    assert not found.problems
    assert {(e.namespace, e.key) for e in found.entries()} == wanted.keys()
    for entry in found.entries():
        value = wanted[entry.namespace, entry.key]
        if isinstance(entry.value, bytes):
            assert value in (
                entry.value.hex(),
                base64.b64encode(entry.value).decode(),
                entry.value.decode("latin-1"),
            )
        else:
            assert str(entry.value) == value


def test_the_public_tool_decrypts_what_we_encrypt_and_takes_our_keys(folder: Path) -> None:
    text = HEAD + TABLES["files"]
    plain, secret = (ours(text, 0x6000, 2, key) for key in (None, KEY))
    assert plain is not None
    assert secret is not None
    (folder / "secret.bin").write_bytes(secret)
    (folder / "keys.bin").write_bytes(NvsKeys(KEY).to_partition())
    names = SimpleNamespace(
        input="secret.bin", key="keys.bin", output="plain.bin", outdir=str(folder)
    )
    with contextlib.redirect_stdout(io.StringIO()):
        public.decrypt(names)
    assert (folder / "plain.bin").read_bytes() == plain


def test_keys_of_an_hmac_key_are_those_of_the_public_tool(folder: Path) -> None:
    (folder / "hmac.bin").write_bytes(bytes(range(1, 33)))
    options = SimpleNamespace(
        keyfile="made.bin",
        outdir=str(folder),
        key_protect_hmac=True,
        kp_hmac_keygen=False,
        kp_hmac_keyfile=None,
        kp_hmac_inputkey=str(folder / "hmac.bin"),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        public.generate_key(options)
    made = (folder / "keys" / "made.bin").read_bytes()
    assert NvsKeys.from_hmac(bytes(range(1, 33))).to_partition() == made
