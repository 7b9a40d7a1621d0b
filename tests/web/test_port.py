# SPDX-License-Identifier: Apache-2.0
"""The worker's end of a port: writes on their way, and what has to wait for them. In a browser,
against a page's end that does each call when the test says so."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(900)]

#: `asked` is what has come to the page's end; `answer` ends the first call that has no answer yet;
#: `later` says how a call stands when all messages so far have been delivered.
SETTING = """async () => {
  const { Port } = await import('./port.js');
  const { port1, port2 } = new MessageChannel();
  const port = new Port();
  port.attach(port2, {});
  const asked = [], open = [];
  port1.onmessage = ({ data: { id, op } }) => { asked.push(op); open.push(id); };
  const { port1: here, port2: there } = new MessageChannel();
  const turns = async () => {
    for (let i = 0; i < 20; i++) {
      // Messages and timers are queues of their own.
      await new Promise((r) => { there.onmessage = r; here.postMessage(0); });
      await new Promise((r) => setTimeout(r));
    }
  };
  const answer = async (error) => {
    port1.postMessage({ id: open.shift(), error });
    await turns();
  };
  const later = async (call) => {
    let state = 'waits';
    call.then(() => { state = 'done'; }, (error) => { state = error.message; });
    await turns();
    return () => state;
  };
  const first = port.open(921600);
  await turns();
  await answer();
  await first;
  const send = (size) => later(port.send(new Uint8Array(size)));
  %s
}"""


def run(page: Page, script: str) -> Any:
    return page.evaluate(SETTING % script)


def test_writes_return_while_little_is_on_its_way_and_wait_while_much_is(page: Page) -> None:
    # A quarter of a second at 921600 baud is 23040 bytes.
    assert run(
        page,
        """const calls = [await send(16000), await send(7000), await send(100)];
        const before = calls.map((state) => state());
        await answer();
        return [before, calls[2](), asked];""",
    ) == [["done", "done", "waits"], "done", ["open", "write", "write", "write"]]


def test_no_more_than_eight_small_writes_are_on_their_way(page: Page) -> None:
    assert run(
        page,
        """const calls = [];
        for (let i = 0; i < 9; i++) calls.push(await send(1));
        return calls.map((state) => state());""",
    ) == ["done"] * 8 + ["waits"]


@pytest.mark.parametrize("call", ["lines(true, false)", "rate(115200)", "close()"])
def test_lines_rate_and_closing_come_after_all_that_was_sent(page: Page, call: str) -> None:
    op = call.split("(")[0]
    assert run(
        page,
        f"""await send(10); await send(10);
        const call = await later(port.{call});
        await answer();
        const between = [...asked];
        await answer();
        const after = [...asked];
        await answer();
        return [between, after, call()];""",
    ) == [["open", "write", "write"], ["open", "write", "write", op], "done"]


@pytest.mark.parametrize("call", ["send(new Uint8Array(1))", "receive(60000)", "lines(true, true)"])
def test_a_write_that_failed_later_is_told_by_the_next_call(page: Page, call: str) -> None:
    assert run(
        page,
        f"""const sent = await send(10);
        const before = sent();
        await answer('The device has been lost.');
        const call = await later(port.{call});
        const opened = await later(port.open(115200));
        await answer();
        const anew = await send(1);
        return [before, call(), opened(), anew()];""",
    ) == ["done", "The device has been lost.", "done", "done"]


def test_a_write_that_fails_ends_a_wait_for_an_answer(page: Page) -> None:
    assert run(
        page,
        """await send(10);
        const call = await later(port.receive(200000));
        const before = call();
        await answer('The device has been lost.');
        return [before, call()];""",
    ) == ["waits", "The device has been lost."]
