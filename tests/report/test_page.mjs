// test_page.mjs HOSTMEM_REPORT MAKE_TRACE OUT.png: the page in a headless Chromium. Charts are drawn, nothing complains,
// nothing is fetched; pointing shows figures and regions, dragging zooms, a click moves the map. Leaves a picture.
import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {browse} from './browser.mjs';

const [report, make_trace, picture] = process.argv.slice(2);
const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
if (!chromium) {
  console.log('test_page: not run: no chromium here');
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), 'hostmem-test-page-'));
let failures = 0;
function demand(condition, what) {
  if (condition) return;
  failures++;
  console.error(`test_page: WRONG: ${what}`);
}

// What is not of the colour that most of it has: how much there is to be seen.
const drawn = (selector) => `(() => {
  const canvas = document.querySelector(${JSON.stringify(selector)});
  const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const colours = new Map();
  for (const pixel of pixels) colours.set(pixel, (colours.get(pixel) || 0) + 1);
  return {colours: [...colours.values()].filter((count) => count > 100).length,
    drawn: pixels.length - Math.max(...colours.values()), of: pixels.length};
})()`;
const box = (selector) => `(() => { const r = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect();
  return {left: r.left, top: r.top, width: r.width, height: r.height}; })()`;
const tip_text = `(() => { const tip = document.getElementById('tip'); return tip.hidden ? '' : tip.innerText; })()`;

async function look_at_charts(page) {
  for (const [selector, colours] of [['#timeline canvas', 4], ['#lanes canvas', 3], ['#calls canvas', 2], ['#map', 4]]) {
    const seen = await page.evaluate(drawn(selector));
    demand(seen.colours >= colours && seen.drawn > seen.of / 200, `${selector} is as good as empty: ${JSON.stringify(seen)}`);
  }
  const over = await page.evaluate(box('#timeline .u-over'));
  await page.mouse('mouseMoved', over.left + over.width * 0.45, over.top + over.height / 2);
  await page.until(`${tip_text} !== ''`, 5000);
  const figures = await page.evaluate(tip_text);
  demand(/GC heap\s+\d+\.\d+ MiB/.test(figures) && /in all/.test(figures) && /limit\s+64\.0 MiB/.test(figures),
    `pointing at the timeline shows: ${figures}`);
}

async function look_at_zoom(page) {
  await page.evaluate('scrollTo(0, 0)');
  const over = await page.evaluate(box('#timeline .u-over'));
  const axis = '(() => { const c = window.hostmem_report.charts(); return c.map((chart) => [chart.scales.x.min, chart.scales.x.max]); })()';
  await page.drag(over.left + over.width * 0.25, over.left + over.width * 0.5, over.top + over.height / 2);
  await page.until(`${axis}[0][0] > 1`, 5000);
  const zoomed = await page.evaluate(axis);
  demand(zoomed.every(([low, high]) => Math.abs(low - 5) < 0.2 && Math.abs(high - 10) < 0.2), `zoomed to ${JSON.stringify(zoomed)}`);
  await page.evaluate(`document.querySelector('#timeline .u-over').dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))`);
  await page.until(`${axis}.every(([low]) => low === 0)`, 5000);
}

async function look_at_map(page) {
  const text = () => page.evaluate(`document.getElementById('moment-text').textContent`);
  const last = await text();
  const over = await page.evaluate(box('#timeline .u-over'));
  for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) {
    await page.mouse(type, over.left + over.width / 2, over.top + 100, {button: 'left', clickCount: 1});
  }
  const middle = await text();
  demand(parseFloat(last) > 19 && Math.abs(parseFloat(middle) - 10) < 1, `a click in the middle shows ${middle}, at first ${last}`);

  await page.evaluate(`document.getElementById('map').scrollIntoView({block: 'center'})`);
  const map = await page.evaluate(box('#map'));
  const cell = await page.evaluate(`window.hostmem_report.map.cells().find((cell) => cell.committed && cell.region.use === 1)`);
  await page.mouse('mouseMoved', map.left + cell.x + cell.wide / 2, map.top + cell.y + 5);
  await page.until(`${tip_text} !== ''`, 5000);
  const region = await page.evaluate(tip_text);
  demand(/GC heap region/.test(region) && region.includes(`0x${cell.region.base.toString(16).padStart(12, '0')}`) &&
    /size\s+32 MiB/.test(region) && /committed\s+\d+/.test(region), `pointing at a region shows: ${region}`);
  await page.mouse('mouseMoved', map.left + 10, map.top - 40);
}

// What was before the trace is in no rate, and in no moment of it.
async function look_at_late(page) {
  const rows = await page.evaluate(`[...document.querySelectorAll('#call-table tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))`);
  demand(JSON.stringify(rows) === '[["VirtualAlloc","7,007","0","7"],["VirtualQuery","9","0",""]]', `calls: ${JSON.stringify(rows)}`);
  demand(await page.evaluate(`document.getElementById('lanes').hidden`), 'collections from before the trace are shown in it');
}

// Groups with their regions inside; frees of what is not owned, beside the release before.
async function look_at_leaks(page) {
  const rows = (id) => page.evaluate(`[...document.querySelectorAll('#${id} tbody tr')].map((row) => row.textContent)`);
  const owned = await rows('owned'), misuses = await rows('misuses');
  demand(owned.length === 4 && /3\.00 MiB.*2GC heap0\.600 s to 0\.900 s.*coreclr\.dll\+0x1000.*0x020000200000 {2}2 MiB/.test(owned[0]) &&
    /before the trace/.test(owned[3]), `still owned: ${owned.join(' | ')}`);
  demand(misuses.length === 6 && /^0\.600 s47120x030000000000release.*0x6000.*0\.500 s.*0x4000.*0\.200 s.*0x3000/.test(misuses[0]) &&
    /not in the trace/.test(misuses[2]) && /by another thread, 0\.840 s/.test(misuses[3]), `misuse: ${misuses.join(' | ')}`);
}

async function look(address, options, looks) {
  const page = await browse(chromium, address, options);
  try {
    await page.until('window.hostmem_report !== undefined');
    for (const one of looks) await one(page);
    demand(page.problems.length === 0, `it complains: ${page.problems.join('; ')}`);
    demand(page.requests.length === 1, `it fetches: ${page.requests.join(', ')}`);
  } finally {
    await page.close();
  }
}

try {
  const made = (name, scene, amount, ...more) => {
    const trace = join(folder, `${name}.nettrace`), html = join(folder, `${name}.html`);
    execFileSync(make_trace, [scene, trace, String(amount)]);
    execFileSync(report, [trace, '--html', html, ...more]);
    return pathToFileURL(html).href;
  };
  const program = made('program', 'program', 20000);
  await look(program, {width: 1200, height: 1300}, [look_at_charts,
    async (page) => writeFileSync(picture, await page.picture(false)), look_at_map, look_at_zoom]);
  await look(program, {width: 1200, height: 1300, dark: true}, [look_at_charts]);
  await look(made('leaks', 'leaks', 0), {width: 1200, height: 1300}, [look_at_leaks, look_at_late]);
  const compared = made('small', 'small', 0, '--compare', join(folder, 'program.nettrace'));
  await look(compared, {width: 700, height: 900}, [async (page) => {
    const rows = await page.evaluate(`document.querySelectorAll('#compare-uses tbody tr').length`);
    demand(rows >= 4, `${rows} rows compared by use`);
    const wide = await page.evaluate('document.documentElement.scrollWidth');
    demand(await page.evaluate(`document.getElementById('misuse-section').hidden`), 'misuse is shown where there is none');
    demand(wide <= 700, `on a narrow window it is ${wide} wide`);
  }]);
} catch (error) {
  demand(false, error.stack);
} finally {
  rmSync(folder, {recursive: true, force: true});
}
if (failures === 0) console.log('test_page: ok');
process.exit(failures === 0 ? 0 : 1);
