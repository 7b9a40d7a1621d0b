// SPDX-License-Identifier: Apache-2.0
// The workbench: one connection, and a tab for each kind of work on it.

import { byId, logLine, seconds } from './dom.js';
import { Engine } from './engine.js';
import { PANELS } from './panels.js';
import { Link } from './serial.js';
import { NO_ANSWER, NO_PORT, support } from './support.js';
import { makeTabs } from './tabs.js';

const engine = new Engine();
/** What the panels share. `run` is their way to the engine: it shows progress and failures. */
const bench = { engine, run, say, fail, facts: null, port: null, link: null, changed: () => {}, quiet: async () => {}, letGo, burning: false };
let known;
let busy = 0;

function log(line) {
  const box = byId('log');
  box.append(`${line}\n`);
  box.scrollTop = box.scrollHeight;
}

engine.addEventListener('engine', ({ detail }) => {
  const line = logLine(detail);
  if (line !== null) {
    log(line);
    byId('doing').textContent = line;
  }
  if (detail.event !== 'progress') return;
  const share = detail.total ? detail.done / detail.total : 0;
  const left = detail.seconds_left === null ? '' : `, about ${seconds(detail.seconds_left)} left`;
  byId('bar').value = share;
  byId('doing').textContent = `${detail.action}: ${Math.round(share * 100)} %${left}`;
});

function say(text) {
  byId('board').textContent = text;
}

/** What was said of the work before is not to be taken for what is said of this. */
function forget() {
  byId('problem').textContent = '';
  for (const said of document.querySelectorAll('.result')) said.replaceChildren();
}

function fail(error, advice = []) {
  forget();
  const words = [error.message, error.remedy, ...advice].filter(Boolean).join('\n');
  byId('problem').innerText = words;
  log(words);
}

/** Calls the engine. Gives its answer, or null after a failure, which is shown. */
async function run(title, name, args = {}, quiet = false) {
  busy += 1;
  bench.failed = null;
  if (!quiet) {
    forget();
    byId('doing').textContent = `${title}...`;
    byId('bar').removeAttribute('value');
    byId('work').hidden = false;
  }
  document.body.toggleAttribute('data-busy', true);
  try {
    const answer = await engine.call(name, args);
    return answer ?? true;
  } catch (error) {
    bench.failed = error;
    fail(error, ['ConnectError', 'LinkTimeoutError'].includes(error.kind) ? NO_ANSWER : []);
    return null;
  } finally {
    busy -= 1;
    if (!busy) {
      byId('work').hidden = true;
      document.body.toggleAttribute('data-busy', false);
    }
  }
}

async function connect(port, link) {
  await bench.quiet();
  bench.link = link;
  bench.port = port;
  if (link) engine.lend(link);
  // What was read of the board before, and the buttons beside it, are not for this one.
  await letGo('Connecting...');
  const facts = await run('Connecting', 'connect', { port, baud: Number(byId('baud').value) });
  bench.facts = facts;
  byId('leave').disabled = !facts;
  say(facts ? `${facts.description ?? facts.name}${facts.baud ? `, at ${facts.baud} baud` : ''}` : 'No board is connected.');
  bench.changed();
}

async function choose() {
  try {
    const port = await known.serial.requestPort();
    await connect('serial', new Link(known.serial, port));
  } catch (error) {
    fail(error.name === 'NotFoundError' ? new Error('No port was chosen.') : error, NO_PORT);
  }
}

/** The port is let go; what was read of the board is of no use any more. */
async function letGo(text = 'No board is connected.') {
  bench.facts = null;
  byId('leave').disabled = true;
  say(text);
  bench.changed();
}

async function leave() {
  await run('Starting it', 'reset');
  await letGo();
}

async function begin() {
  known = await support();
  if (!known.engine) {
    say(known.why);
    return;
  }
  const site = await (await fetch('site.json')).json();
  bench.burning = site.burning;
  const { version } = await engine.start(site);
  byId('version').textContent = `esptool ${version}.`;
  for (const [key, name] of await engine.call('virtual_chips')) byId('virtual').append(new Option(name, key));
  byId('virtual').value = 'esp32c3';
  makeTabs(byId('tabs'), byId('panels'), PANELS.map((panel) => panel(bench)));
  byId('connect').disabled = !known.serial;
  byId('connect').onclick = choose;
  byId('connect-virtual').onclick = () => connect(`virtual://${byId('virtual').value}?stub=model`, null);
  byId('leave').onclick = leave;
  byId('stop').onclick = () => engine.stop();
  byId('connection').hidden = false;
  say(known.why || 'No board is connected.');
  document.body.dataset.ready = 'yes';
  engine.prepare().catch(() => {}); // the first wish tells what is wrong
  navigator.serviceWorker?.register('sw.js').catch(() => {});
}

begin().catch(fail);
