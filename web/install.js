// SPDX-License-Identifier: Apache-2.0
// The installer: one step at a time, each with one thing to do.

import { button, byId, bytesOf, el, hex, kib, logLine, row as rows, seconds } from './dom.js';
import { load } from './elsewhere.js';
import { Engine } from './engine.js';
import { Link } from './serial.js';
import { NO_ANSWER, NO_PORT, support } from './support.js';

const BAUD = 921600;
/** How long firmware that is on the board may take to say by Improv what it is. */
const IMPROV_BEFORE_S = 1;
/** A question to firmware that may be starting; the page can go on to another board between. */
const IMPROV_SLICE_S = 1;
const step = byId('step');
const engine = new Engine();
const state = { site: null, manifest: null, text: null, base: null, taken: null, facts: null, link: null };
let ready;
let onProgress = () => {};

engine.addEventListener('engine', ({ detail }) => {
  const line = logLine(detail);
  if (line !== null) log(line);
  if (detail.event === 'progress') onProgress(detail);
  if (detail.event === 'connecting' && !detail.done && detail.attempt > 1) say(`The board does not answer yet (attempt ${detail.attempt}).`);
});

function log(line) {
  const box = byId('log');
  box.append(`${line}\n`);
  box.scrollTop = box.scrollHeight;
}

function say(text) {
  byId('status').textContent = text;
}

/** Shows a step and puts the focus on its heading, so that whoever listens hears it. */
function show(name, title, ...content) {
  document.body.dataset.step = name;
  const heading = el('h2', { id: 'step-title', tabIndex: -1 }, title);
  step.replaceChildren(heading, ...content.flat().filter(Boolean));
  say('');
  if (name !== 'intro' || state.begun) heading.focus();
  state.begun = true;
}

const items = (texts) => el('ul', {}, ...texts.map((text) => el('li', {}, text)));

// --- where the firmware comes from ---------------------------------------------------------------

async function loadManifest() {
  const asked = new URLSearchParams(location.search).get('manifest');
  const address = asked ?? state.site.manifest;
  if (!address) return;
  state.base = new URL(address, location.href);
  state.text = new TextDecoder().decode(await load(state.base));
}

function name() {
  if (!state.manifest) return state.taken?.name || (state.site.title ?? 'your firmware');
  return [state.manifest.name, state.manifest.version].filter(Boolean).join(' ');
}

async function partsForChip() {
  const wanted = await engine.call('parts_for_chip', { text: state.text });
  return Promise.all(wanted.map(async ({ path, offset }) => {
    return [offset, await load(new URL(path, state.base)), path.split('/').pop()];
  }));
}

// --- steps ------------------------------------------------------------------------------------------

function intro() {
  const { serial, why } = state.support;
  const own = !state.text;
  const ways = rows(
    serial && button('Connect', connect, 'first'),
    button('Try it on a virtual board', chooseVirtual),
  );
  // Without firmware there is nothing to connect for.
  const draw = () => { ways.hidden = own && !state.taken; };
  show(
    'intro',
    own ? 'Choose a file, then connect a board' : `Put ${name()} on a board`,
    own ? fileChooser(draw) : el('p', {}, `For ${state.manifest.families.join(', ')}. Plug the board into a USB port of this computer.`),
    why && el('p', { className: 'notice' }, why),
    ways,
  );
}

function fileChooser(changed) {
  const list = el('ul', {});
  const told = el('p', {});
  const draw = () => {
    list.replaceChildren(...(state.taken?.parts ?? []).map(({ name: file, size, offset }) => el('li', {}, `${file}, ${kib(size)}${offset === null ? '' : `, at ${hex(offset)}`}`)));
    told.textContent = state.taken ? [`${state.taken.kind}${state.taken.chip ? ` for ${state.taken.chip}` : ''}.`, ...state.taken.notes].join(' ') : '';
    changed();
  };
  const input = el('input', { type: 'file', id: 'file', multiple: true, onchange: () => take(input.files) });
  const box = el(
    'div',
    { className: 'drop' },
    el('p', {}, el('label', { htmlFor: 'file' }, 'A merged image, a bundle, or the images of a build, dropped here or chosen:')),
    input,
  );
  async function take(files) {
    state.taken = null;
    try {
      const whole = await Promise.all([...files].map(async (file) => [file.name, await bytesOf(file)]));
      if (whole.length) state.taken = await engine.call('take', { files: whole });
      say('');
    } catch (error) {
      say([error.message, error.remedy].filter(Boolean).join(' '));
    }
    draw();
  }
  box.ondragover = (event) => { event.preventDefault(); box.classList.add('over'); };
  box.ondragleave = () => box.classList.remove('over');
  box.ondrop = (event) => { event.preventDefault(); box.classList.remove('over'); take(event.dataTransfer.files); };
  draw();
  return [box, told, list];
}

async function connect() {
  let port;
  try {
    port = await state.support.serial.requestPort();
  } catch (error) {
    if (error.name !== 'NotFoundError') throw error;
    show('no-port', 'No port was chosen', items(NO_PORT), rows(button('Choose a port', connect, 'first'), button('Back', intro)));
    return;
  }
  state.link = new Link(state.support.serial, port);
  await call('serial');
}

function chooseVirtual() {
  const chips = state.virtual.filter(([key]) => state.manifest?.chips.includes(key) ?? true);
  const select = el('select', { id: 'virtual' }, ...chips.map(([key, text]) => el('option', { value: key }, text)));
  show(
    'virtual',
    'A virtual board',
    el('p', {}, 'It is simulated in this page: all works as with a real one, and nothing can break.'),
    el('label', { className: 'field', htmlFor: 'virtual' }, 'Chip', select),
    rows(button('Connect', () => { state.link = null; call(`virtual://${select.value}?stub=model`); }, 'first'), button('Back', intro)),
  );
}

async function call(port) {
  show('connecting', 'Connecting', el('progress', { ariaLabel: 'Connecting' }), rows(button('Cancel', () => engine.stop())));
  try {
    await ready;
    if (state.link) engine.lend(state.link);
    state.port = port;
    state.same = await isSame();
    state.facts = await engine.call('connect', { port, baud: BAUD });
    await offer();
  } catch (error) {
    await failed(error, ['ConnectError', 'LinkTimeoutError'].includes(error.kind) ? NO_ANSWER : []);
  }
}

/** Whether the firmware on the board says by Improv that it is the one of the manifest. */
async function isSame() {
  if (!state.link || !state.manifest?.improv.length) return false;
  await engine.call('wifi.open', { port: state.port });
  const found = await engine.call('wifi.ask', { wait_s: IMPROV_BEFORE_S });
  await engine.call('wifi.close');
  return found?.firmware === state.manifest.name;
}

async function offer() {
  const facts = state.facts;
  const plan = state.text ? await engine.call('parts_for_chip', { text: state.text }) && [] : await engine.call('plan');
  plan.forEach(log);
  const facts_ = [
    ['Board', facts.description ?? facts.name],
    ['Flash', facts.flash_size],
    ['MAC address', facts.mac],
  ].filter(([, value]) => value);
  // As in ESP Web Tools: what is new on a board erases it, unless its manifest leaves the choice.
  const anew = Boolean(state.manifest) && !state.manifest.ask_erase && !state.same;
  const erase = el('input', { type: 'radio', name: 'how', value: 'erase', checked: anew });
  const keep = el('input', { type: 'radio', name: 'how', value: 'keep', checked: !anew });
  show(
    'offer',
    `Install ${name()}?`,
    el('dl', {}, ...facts_.flatMap(([key, value]) => [el('dt', {}, key), el('dd', {}, value)])),
    (facts.secure_boot || facts.flash_encryption) && el('p', { className: 'notice' }, 'The security features of this chip are on. Firmware that is not made for it is refused, or does not start.'),
    el(
      'fieldset',
      {},
      el('legend', {}, 'What is on the board now'),
      el('label', { className: 'choice' }, keep, el('span', {}, 'Update: settings stay, and only what is new is sent')),
      el('label', { className: 'choice' }, erase, el('span', {}, 'Erase everything first: settings and files are lost')),
    ),
    rows(button('Install', () => install(erase.checked), 'first'), button('Cancel', leave)),
  );
}

async function install(erase) {
  const bar = el('progress', { max: 1, ariaLabel: 'Progress' });
  const text = el('p', { id: 'progress-text' }, 'Getting ready...');
  show('installing', `Installing ${name()}`, bar, text, el('p', { className: 'quiet' }, 'Leave the board plugged in and this page open.'), rows(button('Stop', () => engine.stop(), 'danger')));
  let told = 0;
  onProgress = (event) => {
    bar.value = event.total ? event.done / event.total : 0;
    const left = event.seconds_left === null ? '' : `, about ${seconds(event.seconds_left)} left`;
    text.textContent = `${event.action}: ${Math.round(bar.value * 100)} %${left}`;
    // A screen reader is told each quarter, not each step.
    const quarter = Math.floor(bar.value * 4);
    if (quarter !== told) { told = quarter; say(`${quarter * 25} % done`); }
  };
  try {
    state.result = state.text
      ? await engine.call('install', { parts: await partsForChip(), erase })
      : await engine.call('install_taken', { erase });
    await engine.call('reset');
    await done();
  } catch (error) {
    await failed(error, []);
  } finally {
    onProgress = () => {};
  }
}

async function done() {
  const { size, sent, seconds: took, files } = state.result;
  const known = files.some((file) => file.action !== 'written');
  const saved = known ? ` Only ${kib(sent)} had to be sent: the rest was there already.` : '';
  show(
    'done',
    'Installed',
    el('p', { className: 'good' }, `${name()} is on the board and was verified.`),
    el('p', { id: 'result', 'data-sent': sent, 'data-size': size, 'data-seconds': took }, `${kib(size)} in ${took.toFixed(1)} seconds.${saved} The board has started it.`),
    rows(button('Another board', again, 'first')),
  );
  if (state.link && state.manifest?.improv.includes(state.facts.chip)) await lookForWifi();
}

/** Waits for the new firmware to speak Improv, for as long as its manifest says. */
async function lookForWifi() {
  const looking = state.looking = {};
  const end = performance.now() + state.manifest.improv_wait_s * 1000;
  try {
    await engine.call('wifi.open', { port: state.port });
    while (state.looking === looking && performance.now() < end) {
      const found = await engine.call('wifi.ask', { wait_s: IMPROV_SLICE_S });
      if (state.looking !== looking) return;
      if (found) {
        step.append(...wifiOffer(found));
        return;
      }
    }
    if (state.looking === looking) await engine.call('wifi.close');
  } catch (error) {
    log(error.message);
  }
}

function visit(address) {
  const safe = /^https?:/.test(address);
  return safe && el('p', {}, el('a', { href: address, target: '_blank', rel: 'noreferrer' }, 'Open the page of the board'));
}

/** What follows on "Installed" where the firmware can be given Wi-Fi settings. */
function wifiOffer({ state: now, address }) {
  if (now === 'locked') return [el('p', { id: 'wifi' }, 'To set up Wi-Fi, press the button on the board that allows it, and connect again.')];
  const connected = now === 'connected';
  return [
    el('p', { id: 'wifi' }, connected ? 'The board is connected to Wi-Fi.' : 'The board can be connected to Wi-Fi now.'),
    connected && visit(address),
    rows(button(connected ? 'Change Wi-Fi' : 'Set up Wi-Fi', askWifi)),
  ].filter(Boolean);
}

async function askWifi() {
  show('wifi-search', 'Looking for networks', el('progress', { ariaLabel: 'Looking for networks' }));
  try {
    wifiForm(await engine.call('wifi.networks'), '', '');
  } catch (error) {
    wifiForm([], '', [error.message, error.remedy].join(' '));
  }
}

function wifiForm(networks, chosen, why) {
  const network = el('input', { type: 'text', id: 'network', required: true, autocomplete: 'off', value: chosen || networks[0]?.name || '' });
  network.setAttribute('list', 'networks');
  const password = el('input', { id: 'password', type: 'password', autocomplete: 'off' });
  const join = async (event) => {
    event.preventDefault();
    const name_ = network.value;
    show('wifi-joining', `Connecting to ${name_}`, el('progress', { ariaLabel: 'Connecting' }));
    try {
      const address = await engine.call('wifi.join', { name: name_, password: password.value });
      await engine.call('wifi.close');
      show('wifi-done', 'Connected', el('p', { className: 'good' }, `The board is connected to ${name_}.`), visit(address), rows(button('Another board', again, 'first')));
    } catch (error) {
      log(error.message);
      wifiForm(networks, name_, [error.message, error.remedy].join(' '));
    }
  };
  show(
    'wifi',
    'Set up Wi-Fi',
    why && el('p', { className: 'bad', id: 'failure' }, why),
    el(
      'form',
      { onsubmit: join },
      el('label', { className: 'field', htmlFor: 'network' }, 'Network', network),
      el('datalist', { id: 'networks' }, ...networks.map((each) => el('option', { value: each.name }))),
      el('label', { className: 'field', htmlFor: 'password' }, 'Password', password),
      rows(el('button', { type: 'submit', className: 'first' }, 'Connect to Wi-Fi'), button('Not now', again)),
    ),
  );
}

async function failed(error, advice) {
  log(error.message);
  // So that the port is free for another program, or the next try.
  try { await engine.call('disconnect'); } catch { /* it is gone already */ }
  const words = [error.remedy, ...advice].filter(Boolean).flatMap((text) => text.split('\n'));
  show(
    'failed',
    error.kind === 'Cancelled' ? 'Stopped' : 'That did not work',
    el('p', { className: 'bad', id: 'failure' }, error.message),
    words.length > 0 && items(words),
    rows(
      button('Try again', () => (state.port ? call(state.port) : intro()), 'first'),
      advice.length > 0 && button('Find out why', examine),
      button('Start over', intro),
    ),
  );
}

/** What the doctor finds on a board that does not answer. */
async function examine() {
  show('examining', 'Looking for the cause', el('progress', { ariaLabel: 'Looking for the cause' }));
  try {
    if (state.link) engine.lend(state.link);
    const found = await engine.call('diagnose', { port: state.port });
    show(
      'examined',
      'What was found',
      el('ul', {}, ...found.map(({ level, text, remedy }) => el('li', {}, el('span', { className: level === 'problem' ? 'bad' : '' }, text), remedy && el('br'), remedy))),
      rows(button('Try again', () => call(state.port), 'first'), button('Start over', intro)),
    );
  } catch (error) {
    await failed(error, []);
  }
}

async function leave() {
  await engine.call('disconnect');
  intro();
}

async function again() {
  state.looking = null;
  await engine.call('wifi.close');
  state.facts = state.link = state.port = null;
  intro();
}

// --- begin --------------------------------------------------------------------------------------------

async function begin() {
  state.support = await support();
  state.site = await (await fetch('site.json')).json();
  if (!state.support.engine) {
    show('unsupported', 'This browser cannot do it', el('p', { className: 'notice' }, state.support.why));
    return;
  }
  ready = engine.start(state.site);
  ready.catch(() => {});
  await loadManifest();
  const { version, remembered } = await ready;
  state.virtual = await engine.call('virtual_chips');
  if (state.text) state.manifest = await engine.call('manifest', { text: state.text });
  for (const remark of state.manifest?.remarks ?? []) log(remark);
  document.title = byId('title').textContent = `Install ${name()}`;
  byId('version').textContent = `esptool ${version}.`;
  intro();
  performance.mark('usable', { detail: { remembered } });
  engine.prepare().then(() => performance.mark('loaded'), () => {}); // the first wish tells what is wrong
  navigator.serviceWorker?.register('sw.js').catch(() => {});
}

begin().catch((error) => {
  log(error.message);
  show('failed', 'The page could not be made ready', el('p', { className: 'bad', id: 'failure' }, error.message), error.remedy && el('p', {}, error.remedy), rows(button('Load it again', () => location.reload(), 'first')));
});
