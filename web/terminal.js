// SPDX-License-Identifier: Apache-2.0
// What the board prints, in a terminal, with the engine's explanations of it.

import { el } from './dom.js';
import { Terminal } from './vendor/xterm.mjs';

const NOTE = '\x1b[1;33m';
/** Pixels that the terminal's scroll bar takes. */
const SCROLL_BAR = 15;
const END = '\x1b[0m';

export function terminal(bench) {
  const place = el('div', { id: 'terminal' });
  const elf = el('input', { type: 'file' });
  const reset = el('button', { type: 'button', className: 'first' }, 'Start the board and listen');
  const listen = el('button', { type: 'button' }, 'Listen');
  const end = el('button', { type: 'button', disabled: true }, 'Stop');
  let screen = null;
  let on = false;
  let listening = Promise.resolve();

  /** As many columns as there is room for, so that no line is cut off on a phone. */
  function fit() {
    const style = getComputedStyle(place);
    const room = place.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - SCROLL_BAR;
    const column = place.querySelector('.xterm-screen').clientWidth / screen.cols;
    const columns = Math.floor(room / column);
    if (columns > 0 && columns !== screen.cols) screen.resize(columns, screen.rows);
  }

  function shown() {
    if (screen || place.offsetParent === null) return;
    screen = new Terminal({ convertEol: true, scrollback: 10000, screenReaderMode: true, fontSize: 13 });
    screen.open(place);
    fit();
    new ResizeObserver(fit).observe(place);
    screen.onData((text) => { if (on) bench.run('', 'typed', { text }, true); });
  }

  /** Ends the listening, and waits until the port is let go. */
  async function quiet() {
    on = false;
    await listening.catch(() => {}); // whoever began it is told
  }

  async function begin(withReset) {
    await quiet();
    listening = listenTo(withReset);
    await listening;
  }

  async function listenTo(withReset) {
    if (!bench.port) {
      bench.fail(new Error('Connect a board first.'));
      return;
    }
    on = true;
    if (bench.link) bench.engine.lend(bench.link);
    if (!await bench.run('Opening the port', 'console', { port: bench.port, reset: withReset })) {
      on = false;
      return;
    }
    await bench.letGo('Listening to the board.');
    end.disabled = false;
    place.dataset.text = '';
    while (on) {
      const pieces = await bench.run('', 'heard', {}, true);
      if (pieces === null) break;
      for (const { text, note } of pieces) {
        screen.write(text ?? `${NOTE}--- ${note}${END}\n`);
        place.dataset.text += text ?? `--- ${note}\n`;
      }
      // A virtual board answers at once: leave the page some time of its own.
      if (!pieces.length) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    on = false;
    end.disabled = true;
    await bench.run('', 'disconnect', {}, true);
    bench.say('No board is connected.');
  }

  bench.quiet = quiet;
  reset.onclick = () => begin(true);
  listen.onclick = () => begin(false);
  end.onclick = () => { on = false; };
  elf.onchange = async () => {
    const file = elf.files[0];
    if (file) await bench.run('Reading the ELF file', 'elf', { data: new Uint8Array(await file.arrayBuffer()), name: file.name });
  };
  const body = el(
    'div',
    {},
    el('h2', {}, 'Terminal'),
    el('label', { className: 'field' }, 'ELF file of the program, for names of addresses', elf),
    el('div', { className: 'row' }, reset, listen, end),
    el('p', {}),
    place,
  );
  return { id: 'terminal-tab', title: 'Terminal', body, shown };
}
