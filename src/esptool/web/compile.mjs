// SPDX-License-Identifier: Apache-2.0
// Compiles the modules in zip archives for the Python that a page brings: node compile.mjs CORE ARCHIVE...
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [core, ...archives] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${core}/pyodide.mjs`).href);
const python = await loadPyodide({ stdout: () => {} });
for (const archive of archives) {
  python.FS.writeFile('/sources.zip', new Uint8Array(readFileSync(archive)));
  python.runPython(`
import importlib._bootstrap_external as bootstrap
import importlib.util
import zipfile

with zipfile.ZipFile('/sources.zip') as given, zipfile.ZipFile('/made.zip', 'w') as made:
    for entry in given.infolist():
        name, data = entry.filename, given.read(entry)
        if name.endswith('.py'):
            # As a source would be compiled when it is imported.
            code = compile(data, name, 'exec', dont_inherit=True, optimize=0)
            data = bootstrap._code_to_hash_pyc(code, importlib.util.source_hash(data), False)
            name += 'c'
        made.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)
`);
  writeFileSync(archive, python.FS.readFile('/made.zip'));
}
