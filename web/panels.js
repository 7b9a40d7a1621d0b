// SPDX-License-Identifier: Apache-2.0
// The tabs of the workbench. Each is made of the bench and gives {id, title, body, shown, left};
// `left` is called when another board is connected to, or none any more.

import { bytesOf, button, download, el, field, hex, kib, row, table } from './dom.js';
import { efuses } from './efuses.js';
import { terminal } from './terminal.js';

/** A number in any base, or null. */
function number(text) {
  const value = Number(text.trim());
  return text.trim() !== '' && Number.isInteger(value) && value >= 0 ? value : null;
}

function board(bench) {
  const body = el('div', {});
  const shown = () => {
    const facts = bench.facts;
    if (!facts) {
      body.replaceChildren(el('h2', {}, 'Board'), el('p', {}, 'Connect a board to see what it is.'));
      return;
    }
    const rows = [
      ['Chip', facts.description ?? facts.name],
      ['Features', facts.features?.join(', ')],
      ['Crystal', facts.crystal_mhz && `${facts.crystal_mhz} MHz`],
      ['MAC address', facts.mac],
      ['Flash', facts.flash_size && `${facts.flash_size} (id ${facts.flash_id})`],
      ['Secure boot', facts.secure_boot ? 'on' : 'off'],
      ['Flash encryption', facts.flash_encryption ? 'on' : 'off'],
      ['Download mode', facts.secure_download ? 'secure: little can be read' : 'open'],
    ].filter(([, value]) => value);
    body.replaceChildren(
      el('h2', {}, 'Board'),
      el('dl', {}, ...rows.flatMap(([key, value]) => [el('dt', {}, key), el('dd', {}, String(value))])),
    );
  };
  return { id: 'board', title: 'Board', body, shown };
}

function partitions(bench) {
  const list = el('div', {});
  const inside = el('div', { ariaLive: 'polite' });
  const keys = el('input', { type: 'file' });

  async function look() {
    list.replaceChildren();
    inside.replaceChildren();
    const found = await bench.run('Reading the partition table', 'partitions');
    if (!found) return;
    list.replaceChildren(
      table(
        'Partitions',
        ['Name', 'Type', 'Offset', 'Size', 'Content', 'Do'],
        found.partitions.map((p) => [p.name, `${p.type} ${p.subtype}`, el('span', { className: 'mono' }, hex(p.offset)), kib(p.size), p.describe, actions(p)]),
      ),
      ...found.problems.map((problem) => el('p', { className: 'bad' }, problem.message ?? problem.text ?? String(problem))),
    );
  }

  function actions(p) {
    return el(
      'div',
      { className: 'row' },
      button('Read', async () => {
        const data = await bench.run(`Reading ${p.name}`, 'read', { address: p.offset, size: p.size });
        if (data) download(data, `${p.name}.bin`);
      }),
      p.type === 'data' && p.subtype === 'nvs' && button('Settings', () => settings(p.name)),
      p.type === 'data' && p.subtype !== 'nvs' && button('Files', () => files(p.name)),
      button('Erase', async () => {
        if (!window.confirm(`Erase all of ${p.name}? What is in it is lost.`)) return;
        if (await bench.run(`Erasing ${p.name}`, 'erase', { address: p.offset, size: p.size })) look();
      }, 'danger'),
    );
  }

  async function settings(name) {
    inside.replaceChildren();
    const secret = keys.files.length ? { keys: await bytesOf(keys.files[0]) } : {};
    const found = await bench.run(`Reading ${name}`, 'nvs', { partition: name, ...secret });
    if (!found) return;
    inside.replaceChildren(
      el('h3', {}, `Settings in ${name}`),
      el('p', { className: 'quiet' }, `${found.used} entries used, ${found.free} free.`),
      table(`Settings in ${name}`, ['Namespace', 'Key', 'Type', 'Value'], found.entries.map((e) => [e.namespace, e.key, e.type, String(e.value)])),
    );
  }

  async function files(name) {
    inside.replaceChildren();
    const found = await bench.run(`Reading ${name}`, 'files', { partition: name });
    if (!found) return;
    inside.replaceChildren(
      el('h3', {}, `Files in ${name}`),
      el('p', { className: 'quiet' }, `${found.type}: ${kib(found.used)} of ${kib(found.total)} used.`),
      table(`Files in ${name}`, ['Path', 'Size', 'Do'], found.entries.map((e) => [
        e.path,
        e.folder ? '' : kib(e.size),
        !e.folder && button('Save', async () => {
          const data = await bench.run(`Reading ${e.path}`, 'file', { partition: name, path: e.path });
          if (data) download(data, e.path.split('/').pop());
        }),
      ])),
    );
  }

  const body = el('div', {}, el('h2', {}, 'Partitions'), row(button('Read the table', look, 'first')), el('p', {}), field('Keys of an encrypted NVS, where it is one: a key partition, 64 bytes, or an HMAC key of 32. They are read from the file when they are needed, and kept nowhere.', keys), list, inside);
  const left = () => {
    list.replaceChildren();
    inside.replaceChildren();
  };
  return { id: 'partitions', title: 'Partitions', body, left };
}

function flash(bench) {
  const input = el('input', { type: 'file', multiple: true });
  const address = el('input', { type: 'text', value: '0x10000', className: 'mono' });
  const from = el('input', { type: 'text', value: '0x0', className: 'mono' });
  const size = el('input', { type: 'text', value: '0x1000', className: 'mono' });
  const result = el('p', { role: 'status', className: 'result' });
  const other = el('div', { className: 'result', ariaLive: 'polite' });

  async function parts() {
    const at = number(address.value);
    if (!input.files.length || at === null) {
      bench.fail(new Error('Choose a file, and give its address as a number such as 0x10000.'));
      return null;
    }
    if (input.files.length > 1) {
      bench.fail(new Error('One file at a time has this address.'));
      return null;
    }
    const file = input.files[0];
    return [[at, await bytesOf(file), file.name]];
  }

  async function write() {
    const wanted = await parts();
    if (wanted) await put(wanted, false);
  }

  /** Firmware for another chip is written only when that is wished for once more. */
  async function put(wanted, anyway) {
    const done = await bench.run('Writing', 'install', { parts: wanted, anyway });
    if (!done && bench.failed?.kind === 'OtherChipError') {
      other.replaceChildren(row(button('Write it anyway: it will not start', () => put(wanted, true), 'danger')));
    }
    if (done) result.textContent = `Written and verified: ${kib(done.size)}, of which ${kib(done.sent)} were sent.`;
  }

  async function verify() {
    const wanted = await parts();
    if (wanted && await bench.run('Comparing', 'verify', { parts: wanted })) result.textContent = 'Flash holds what is in the file.';
  }

  async function read() {
    const range = [number(from.value), number(size.value)];
    if (range.includes(null)) {
      bench.fail(new Error('Give address and size as numbers such as 0x1000.'));
      return;
    }
    const data = await bench.run('Reading', 'read', { address: range[0], size: range[1] });
    if (!data) return;
    result.textContent = `Read ${kib(data.length)}.`;
    download(data, `flash-${hex(range[0])}.bin`);
  }

  async function erase() {
    if (!window.confirm('Erase all of the flash? The program and all settings are lost.')) return;
    if (await bench.run('Erasing', 'erase')) result.textContent = 'All of the flash is erased.';
  }

  const body = el(
    'div',
    {},
    el('h2', {}, 'Flash'),
    result,
    other,
    el('fieldset', {}, el('legend', {}, 'A file'), field('File', input), field('Address', address), row(button('Write', write, 'first'), button('Compare', verify))),
    el('fieldset', {}, el('legend', {}, 'A range'), field('From', from), field('Bytes', size), row(button('Read', read))),
    row(button('Erase everything', erase, 'danger')),
  );
  return { id: 'flash', title: 'Flash', body };
}

/** Numbers that people know in hex. */
const IN_HEX = /address|offset|entry_point|code|stored|calculated/;
const isEmpty = (value) => value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);

function inWords(key, value) {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number' && IN_HEX.test(key)) return `0x${value.toString(16)}`;
  if (Array.isArray(value)) return value.map((each) => inWords(key, each)).join(', ');
  if (typeof value === 'object') return fields(value).map(([name, each]) => `${name} ${each}`).join(', ');
  return String(value);
}

/** Names and values for a person: one for each that is there, those of a group and of a list by themselves. */
function fields(group) {
  return Object.entries(group).filter(([, value]) => !isEmpty(value)).flatMap(([key, value]) => {
    const name = key.replaceAll('_', ' ');
    if (Array.isArray(value) && typeof value[0] === 'object') return value.map((each, i) => [`${name} ${i}`, inWords(key, each)]);
    if (typeof value === 'object' && !Array.isArray(value)) return fields(value).map(([sub, each]) => [`${name}: ${sub}`, each]);
    return [[name, inWords(key, value)]];
  });
}

function image(bench) {
  const out = el('div', {});
  const input = el('input', { type: 'file' });
  async function look() {
    const file = input.files[0];
    out.replaceChildren();
    if (!file) return;
    const found = await bench.run('Looking at it', 'image', { data: await bytesOf(file), name: file.name });
    if (!found) return;
    out.replaceChildren(...found.images.map((one) => el(
      'div',
      {},
      el('h3', {}, `${found.file}: ${kib(found.size)}`),
      table('Image', ['Field', 'Value'], fields(one).map(([name, value]) => [name, el('span', { className: 'mono anywhere' }, value)])),
    )));
  }
  input.onchange = look;
  const body = el('div', {}, el('h2', {}, 'Image'), el('p', {}, 'What is in a firmware file. Needs no board.'), field('File', input), out);
  return { id: 'image', title: 'Image', body };
}

export const PANELS = [board, partitions, flash, efuses, image, terminal].map((panel) => (bench) => {
  const made = panel(bench);
  const before = bench.changed;
  bench.changed = () => {
    before();
    made.left?.();
    made.shown?.();
  };
  return made;
});
