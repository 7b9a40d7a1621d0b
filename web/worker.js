// SPDX-License-Identifier: Apache-2.0
// The engine's worker: Python, our package, and a port.
// Blocking calls of Python wait for promises here (JavaScript Promise Integration).

import { Port } from './port.js';

const port = new Port();
let glue;
let work = Promise.resolve();

async function fetched(site, name) {
  const answer = await fetch(name, { integrity: site.integrity[name] });
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

async function start(site) {
  const archive = fetched(site, 'engine.zip');
  const stdlib = fetched(site, 'core/python_stdlib.zip');
  const { loadPyodide } = await import('./core/pyodide.mjs');
  const stdLibURL = URL.createObjectURL(new Blob([await stdlib]));
  const python = await loadPyodide({
    indexURL: new URL('core/', self.location.href).href,
    stdLibURL,
    lockFileContents: site.lock,
    env: { HOME: '/home/pyodide', ESPTOOL_ADAPTERS: 'off' },
    stdout: () => {},
  });
  URL.revokeObjectURL(stdLibURL);
  python.unpackArchive(await archive, 'zip', { extractDir: '/engine' });
  python.runPython("import sys; sys.path.insert(0, '/engine')");
  const post = (event) => postMessage({ event: JSON.parse(event) });
  glue = python.pyimport('esptool.web.glue').Glue(post, port);
  return glue.engine.version();
}

async function call({ name, text, blobs }) {
  const answer = await glue.call.callPromising(name, text, blobs);
  const [json, bytes] = answer;
  return { ...JSON.parse(json), ...(bytes ? { result: bytes } : {}) };
}

self.onmessage = ({ data }) => {
  if (data.stop) {
    glue?.stop();
    return;
  }
  if (data.port) {
    port.attach(data.port, data.info);
    return;
  }
  // One wish after the other: the engine is one chip's, and Python is not to be entered twice.
  work = work.then(async () => {
    try {
      const answer = data.site ? { result: await start(data.site) } : await call(data);
      postMessage({ id: data.id, ...answer });
    } catch (error) {
      postMessage({ id: data.id, error: String(error.message ?? error), kind: 'Unforeseen' });
    }
  });
};
