// build.mjs UPLOT OUT.c: the page as a C file. One script and one style, put together from the files beside this one and
// uPlot's; cut in two where the data goes.
import {readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [uplot, out] = process.argv.slice(2);
const read = (...path) => readFileSync(join(...path), 'utf8');
const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

const script = read(uplot, 'dist/uPlot.iife.min.js') + '\n(function () {\n\'use strict\';\n' +
  ['format.js', 'charts.js', 'map.js', 'tables.js', 'page.js'].map((name) => read(here, name)).join('\n') + '})();\n';
const parts = {
  STYLE: read(uplot, 'dist/uPlot.min.css') + read(here, 'page.css'),
  LICENSE: escaped(read(uplot, 'LICENSE')),
  SCRIPT: script,
};
for (const [name, text] of Object.entries(parts)) {
  if (/<\/(script|style)/i.test(text)) throw new Error(`${name} would end its own element`);
}

const page = read(here, 'page.html').replace(/\/\*(STYLE|LICENSE|SCRIPT)\*\//g, (_, name) => parts[name]);
const halves = page.split('/*DATA*/');
if (halves.length !== 2) throw new Error('the page has no single place for the data');

function array(name, text) {
  const bytes = [...new Int8Array(Buffer.from(text, 'utf8')), 0]; // char is signed
  let lines = '';
  for (let i = 0; i < bytes.length; i += 24) lines += `    ${bytes.slice(i, i + 24).join(', ')},\n`;
  return `const char ${name}[] = {\n${lines}};\n`;
}
writeFileSync(out, `#include "report/page.h"\n\n${array('hm_page_before', halves[0])}\n${array('hm_page_behind', halves[1])}`);
