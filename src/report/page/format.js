// Numbers for people, and small pieces of the page.
const MIB = 1048576;

function mib(bytes) {
  const value = bytes / MIB;
  return `${value.toFixed(value < 10 ? 2 : 1)} MiB`;
}

function size(bytes) {
  const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let value = bytes / 1024, unit = 0;
  for (; value >= 1024 && unit + 1 < units.length; unit++) value /= 1024;
  return `${Number.isInteger(value) ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}

const count = (number) => number.toLocaleString('en-US');
const seconds = (value) => `${value.toFixed(value < 10 ? 3 : 2)} s`;
const hex = (address) => `0x${address.toString(16).padStart(12, '0')}`;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const by_id = (id) => document.getElementById(id);

// A tag with its children: texts are texts, never markup.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === 'style') element.style.cssText = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Columns: {title, number, cell(row)}.
function table(columns, rows) {
  const head = columns.map((column) => make('th', column.number ? {class: 'number'} : {}, column.title));
  const body = rows.map((row) => make('tr', {}, ...columns.map((column) =>
    make('td', {class: column.number ? 'number' : column.class || ''}, column.cell(row)))));
  return make('div', {class: 'scroll'},
    make('table', {}, make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...body)));
}

const tip = {
  show(event, title, rows) {
    const box = by_id('tip');
    box.replaceChildren(make('strong', {}, title),
      make('table', {}, ...rows.map(([name, value]) => make('tr', {}, make('td', {}, name), make('td', {}, value)))));
    box.hidden = false;
    const {width, height} = box.getBoundingClientRect();
    const left = event.clientX + 16 + width > innerWidth ? event.clientX - width - 12 : event.clientX + 16;
    const top = event.clientY + 16 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 16;
    box.style.left = `${Math.max(4, left)}px`;
    box.style.top = `${Math.max(4, top)}px`;
  },
  hide() { by_id('tip').hidden = true; },
};
