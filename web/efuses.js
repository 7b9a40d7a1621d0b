// SPDX-License-Identifier: Apache-2.0
// eFuses: all of them by category; and, in a page that is made with it, what burns them.

import { button, bytesOf, el, field, row, table } from './dom.js';

const WORD = 'BURN';

export function efuses(bench) {
  const list = el('div', {});
  const names = el('datalist', { id: 'efuse-names' });

  async function look() {
    list.replaceChildren();
    const found = await bench.run('Reading eFuses', 'efuses');
    if (!found) return;
    names.replaceChildren(...found.fields.filter((f) => f.writeable).map((f) => el('option', { value: f.name })));
    const groups = Map.groupBy(found.fields, (f) => f.category);
    list.replaceChildren(...[...groups].map(([category, fields]) => el(
      'div',
      {},
      el('h3', {}, category),
      table(`eFuses: ${category}`, ['Name', 'Value', 'Meaning of the field', 'Access'], fields.map((f) => [
        el('span', { className: 'mono' }, f.name),
        el('span', { className: 'mono' }, String(f.value)),
        f.description,
        `${f.readable ? 'read' : 'hidden'}${f.writeable ? ', write' : ', locked'}`,
      ])),
    )));
  }

  const body = el(
    'div',
    {},
    el('h2', {}, 'eFuses'),
    el('p', {}, bench.burning ? 'What is burned stays burned for good.' : 'They are only read here. What burns them, for good, is espefuse on a computer.'),
    row(button('Read all', look, 'first')),
    bench.burning && [names, burner(bench, look)],
    list,
  );
  return { id: 'efuses', title: 'eFuses', body, left: () => list.replaceChildren() };
}

/** Two steps: a plan, and the word that the command line asks for as well. */
function burner(bench, look) {
  const name = el('input', { type: 'text', className: 'mono', autocomplete: 'off' });
  name.setAttribute('list', 'efuse-names');
  const value = el('input', { type: 'text', className: 'mono', value: '1' });
  const block = el('select', { id: 'efuse-block', className: 'mono' });
  const key = el('input', { type: 'file' });
  const purpose = el('select', { id: 'efuse-purpose' });
  const next = el('div', { id: 'efuse-plan', ariaLive: 'polite' });

  /** What the chip that is connected offers: its key blocks, and the purposes of a key. */
  async function offer() {
    for (const [select, wish] of [[block, 'burning.blocks'], [purpose, 'burning.purposes']]) {
      if (select.options.length || !bench.facts) continue;
      const found = await bench.run('', wish, {}, true);
      if (Array.isArray(found)) select.replaceChildren(...(found.length || select === block ? found : ['']).map((each) => new Option(each || 'by its block', each)));
    }
  }

  async function plan(wish) {
    next.replaceChildren();
    const lines = await bench.run('Making the plan', 'burning.plan', wish);
    if (!lines) return;
    const word = el('input', { type: 'text', className: 'mono', id: 'efuse-word', autocomplete: 'off' });
    next.replaceChildren(
      el('h3', {}, 'The plan'),
      el('pre', { tabIndex: 0, ariaLabel: 'The plan' }, lines.join('\n')),
      el(
        'form',
        { onsubmit: (event) => { event.preventDefault(); burn(word.value); } },
        field(`Nothing is burned yet. Type ${WORD} to burn this for good`, word),
        row(el('button', { type: 'submit', className: 'danger' }, 'Burn'), button('Cancel', () => next.replaceChildren())),
      ),
    );
    word.focus();
  }

  async function burn(word) {
    next.replaceChildren(el('p', {}, 'Burning. Leave the board plugged in.'));
    // Without the button that stops: a burn is to end.
    const done = await bench.run('', 'burning.burn', { word }, true);
    if (!done) {
      next.replaceChildren();
      return;
    }
    const open = done.unverified.length ? ` Not read back: ${done.unverified.join(', ')}.` : '';
    next.replaceChildren(
      el('p', { className: 'good', id: 'efuse-result' }, `Burned and proved.${open}`),
      el('pre', { tabIndex: 0, ariaLabel: 'What was said' }, done.told.join('\n').trim()),
    );
    await look();
  }

  async function planKey() {
    if (!bench.facts) {
      bench.fail(new Error('Connect a board first.'));
      return;
    }
    if (!key.files.length) {
      bench.fail(new Error('Choose the file of the key.'));
      return;
    }
    await plan({ fields: {}, keys: [[block.value, await bytesOf(key.files[0]), purpose.value]] });
  }

  block.onfocus = purpose.onfocus = offer;
  const changed = bench.changed;
  bench.changed = () => {
    changed();
    block.replaceChildren();
    purpose.replaceChildren();
    next.replaceChildren();
    offer();
  };
  return el(
    'div',
    {},
    el('fieldset', {}, el('legend', {}, 'Burn a field'), field('Field', name), field('Value', value), row(button('Show the plan', () => plan({ fields: { [name.value.trim()]: value.value.trim() } })))),
    el('fieldset', {}, el('legend', {}, 'Burn a key'), field('Block', block), field('File with the key as it is burned', key), field('Purpose', purpose), row(button('Show the plan of the key', planKey))),
    next,
  );
}
