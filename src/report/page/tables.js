// What is told in words and tables.
function heading(data) {
  document.title = `${data.file} - hostmem report`;
  by_id('facts').textContent = [data.file, data.started.replace('T', ' ').replace('Z', ' UTC'), seconds(data.seconds),
    data.runtime ? `.NET ${data.runtime}, ${data.pointer_size * 8}-bit` : `${data.pointer_size * 8}-bit`,
    `${count(data.events)} events`].join(' · ');
  const wrong = [];
  if (data.wrong) wrong.push(`The trace is not complete: ${data.wrong}. What is told is what is before.`);
  if (data.lost) wrong.push(`${count(data.lost)} events were lost: figures between them and the next sample are not exact.`);
  if (data.accounting.last_difference) {
    wrong.push(`The last sample of the accounting differs from the events by ${size(data.accounting.last_difference)}.`);
  }
  by_id('warning').hidden = wrong.length === 0;
  by_id('warning').textContent = wrong.join(' ');
}

function figures(data) {
  const total = Object.values(data.committed.end).reduce((sum, value) => sum + value, 0);
  const rows = [
    ['Committed at most', mib(data.committed.most), `at ${seconds(data.committed.most_at_seconds)}`],
    ['At the end', mib(total), `${size(data.reserved)} reserved, ${count(data.regions)} regions`],
    ['Limit', data.limits.limit === null ? 'none' : mib(data.limits.limit),
      data.limits.heap_limit === null ? '' : `heap ${mib(data.limits.heap_limit)}`],
    ['Refused', count(data.refusals.count), data.refusals.count ? `${size(data.refusals.bytes)} · ` +
      Object.entries(data.refusals.reasons).map(([name, number]) => `${name}: ${count(number)}`).join(', ') : ''],
    ['Overruns', count(data.overruns.count), data.overruns.count ? size(data.overruns.bytes) : ''],
    ['Told Low', count(data.notified.low), `neutral ${count(data.notified.neutral)}, high ${count(data.notified.high)}`],
    ['Collections', data.collections[0] === null ? 'not known' : data.collections.map(count).join(' / '),
      data.collections[0] === null ? '' : 'gen0 / gen1 / gen2'],
  ];
  by_id('figures').replaceChildren(...rows.map(([title, value, more]) =>
    make('dl', {style: 'margin:0'}, make('dt', {}, title), make('dd', {}, value, make('small', {}, more)))));
}

function call_table(data) {
  const rows = data.counted_calls.length
    ? data.counted_calls.map((row) => ({...row, title: 'count'}))
    : data.calls.map((row) => ({method: row.method, count: row.traced, failed: row.failed}));
  by_id('call-table').replaceChildren(table([
    {title: 'method', cell: (row) => row.method},
    {title: 'calls', number: true, cell: (row) => count(row.count)},
    {title: 'failed', number: true, cell: (row) => count(row.failed)},
    {title: 'a second', number: true, cell: (row) => count(Math.round(row.count / (data.seconds || 1)))},
  ], rows));
}

const share = (value, most) => make('span', {class: 'share', style: `width:${most ? Math.abs(value) / most * 100 : 0}%`});

// Groups by the innermost frames; the stacks of each are inside, as far as they are among those that committed most.
function sites(data) {
  by_id('sites-section').hidden = data.sites.length === 0;
  by_id('sites-hint').textContent = `${count(data.site_count)} stacks, by their three innermost frames; those that committed ` +
    'most first. Held: still committed at the end in regions that were reserved from here.';
  const most = Math.max(...data.site_groups.map((group) => group.committed), 0);
  const stacks_of = (group) => data.sites.filter((site) => group.stack.every((frame, i) => site.stack[i] === frame));
  const more_of = (site, group) => make('details', {}, make('summary', {},
    `${mib(site.committed)}, ${count(site.calls)} calls `, make('code', {}, `← ${site.stack[group.stack.length] || 'nothing more'}`)),
    ...site.stack.slice(group.stack.length + 1).map((frame) => make('code', {}, `← ${frame}`)));
  const name = (group) => make('details', {}, make('summary', {}, make('code', {}, group.stack.join(' ← '))),
    ...stacks_of(group).map((site) => more_of(site, group)));
  const columns = [
    {title: 'committed', number: true, cell: (site) => mib(site.committed)},
    {title: '', class: 'share-cell', cell: (site) => share(site.committed, most)},
    {title: 'reserved', number: true, cell: (site) => size(site.reserved)},
    {title: 'held', number: true, cell: (site) => mib(site.held)},
    {title: 'calls', number: true, cell: (site) => count(site.calls)},
    {title: 'failed', number: true, cell: (site) => count(site.failed)},
    {title: 'use', class: 'short', cell: (site) => site.use},
    {title: 'stacks', number: true, cell: (site) => count(site.stacks)},
    {title: 'innermost frames', cell: name},
  ];
  by_id('sites').replaceChildren(table(columns, data.site_groups.slice(0, 15)));
  if (data.site_groups.length > 15) {
    by_id('sites').append(make('details', {}, make('summary', {}, `${data.site_groups.length - 15} more`),
      table(columns, data.site_groups.slice(15))));
  }
}

function compared(data) {
  const other = data.compared;
  by_id('compare-section').hidden = !other;
  if (!other) return;
  const signed = (bytes) => `${bytes < 0 ? '−' : '+'}${mib(Math.abs(bytes))}`;
  by_id('compare-hint').textContent = `With ${other.file}: ${seconds(other.seconds)}, ${count(other.events)} events, ` +
    `${count(other.refusals)} refusals, told Low ${count(other.low)} times. Differences are the other less this one.`;
  const rows = USES.map(([key, name]) => ({name, peak: [data.committed.peak[key], other.peak[key]], end: [data.committed.end[key], other.end[key]]}))
    .filter((row) => row.peak[0] || row.peak[1] || row.end[0] || row.end[1]);
  by_id('compare-uses').replaceChildren(table([
    {title: 'use', cell: (row) => row.name},
    {title: 'at peak', number: true, cell: (row) => mib(row.peak[0])},
    {title: 'other', number: true, cell: (row) => mib(row.peak[1])},
    {title: 'difference', number: true, cell: (row) => signed(row.peak[1] - row.peak[0])},
    {title: 'at the end', number: true, cell: (row) => mib(row.end[0])},
    {title: 'other', number: true, cell: (row) => mib(row.end[1])},
    {title: 'difference', number: true, cell: (row) => signed(row.end[1] - row.end[0])},
  ], rows));
  by_id('compare-sites').replaceChildren(table([
    {title: 'this', number: true, cell: (row) => mib(row.first)},
    {title: 'other', number: true, cell: (row) => mib(row.second)},
    {title: 'difference', number: true, cell: (row) => signed(row.difference)},
    {title: 'innermost frames', cell: (row) => make('code', {}, row.stack.join(' ← '))},
  ], other.sites.filter((row) => row.difference).slice(0, 30)));
}
