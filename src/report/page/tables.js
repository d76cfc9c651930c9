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

// What was counted may have begun long before the trace: how many a second is of those that are traced.
function call_table(data) {
  const traced = new Map(data.calls.map((row) => [row.method, row.traced]));
  const rows = data.counted_calls.length ? data.counted_calls
    : data.calls.map((row) => ({method: row.method, count: row.traced, failed: row.failed}));
  by_id('call-table').replaceChildren(table([
    {title: 'method', cell: (row) => row.method},
    {title: 'calls', number: true, cell: (row) => count(row.count)},
    {title: 'failed', number: true, cell: (row) => count(row.failed)},
    {title: 'a second', number: true, cell: (row) => (traced.has(row.method)
      ? count(Math.round(traced.get(row.method) / (data.seconds || 1))) : '')},
  ], rows));
}

const share = (value, most) => make('span', {class: 'share', style: `width:${most ? Math.abs(value) / most * 100 : 0}%`});

// The first rows; the others where they are asked for.
function folded(columns, rows) {
  const [first, rest] = [rows.slice(0, 15), rows.slice(15)];
  return rest.length === 0 ? [table(columns, first)]
    : [table(columns, first), make('details', {}, make('summary', {}, `${rest.length} more`), table(columns, rest))];
}

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
  by_id('sites').replaceChildren(...folded(columns, data.site_groups.filter((group) => group.calls)));   // not of frees alone
}

const frames = (stack) => make('code', {}, stack.join(' ← '));
const not_seen = (data) => data.lost || data.owned.events_left_out ? 'before the trace, or lost' : 'before the trace';
const age = (data, group) => group.oldest === null ? `there ${not_seen(data)}` : group.oldest - group.youngest < 0.1
  ? seconds(group.oldest) : `${seconds(group.youngest)} to ${seconds(group.oldest)}`;

// Regions that are there at the end, by who reserved them and what for; each group opens to its regions.
function owned(data) {
  const {groups, group_count} = data.owned;
  by_id('owned-section').hidden = groups.length === 0;
  by_id('owned-hint').textContent = `${count(data.regions)} regions, by use and by the three innermost frames of who ` +
    `reserved them${groups.length < group_count ? `; the first ${count(groups.length)} of ${count(group_count)} groups` : ''}. ` +
    'Age: since then, at the end of the trace.';
  const most = Math.max(...groups.map((group) => group.committed), 0);
  const region = (one) => make('code', {}, `${hex(one.base)}  ${size(one.bytes)}, ${size(one.committed)} committed` +
    (one.age === null ? '' : `, ${seconds(one.age)}`));
  const site = (group) => make('details', {},
    make('summary', {}, group.stack.length ? frames(group.stack) : group.oldest === null ? 'not in the trace' : 'no stack'),
    ...group.regions.map(region),
    group.regions.length < group.count ? make('code', {}, `and ${count(group.count - group.regions.length)} more`) : '');
  by_id('owned').replaceChildren(...folded([
    {title: 'committed', number: true, cell: (group) => mib(group.committed)},
    {title: '', class: 'share-cell', cell: (group) => share(group.committed, most)},
    {title: 'reserved', number: true, cell: (group) => size(group.bytes)},
    {title: 'regions', number: true, cell: (group) => count(group.count)},
    {title: 'use', class: 'short', cell: (group) => group.use},
    {title: 'age', class: 'short', cell: (group) => age(data, group)},
    {title: 'reserved from', cell: site},
  ], groups));
}

function misused(data) {
  const {list, left_out, twice} = data.misuses;
  by_id('misuse-section').hidden = list.length === 0;
  by_id('misuse-hint').textContent = `${count(data.misuses.count)} frees of what is not owned; ${count(twice)} of them of what ` +
    `had been freed before${left_out ? `, as far as is known: of ${count(left_out)} only the number is kept` : ''}.`;
  const when = (time, stack) => [time === null ? `${not_seen(data)} ` : `${seconds(time)} `, stack.length ? frames(stack) : ''];
  const first = ({first, seconds: time}) => make('span', {}, ...(first === null ? ['not in the trace'] : [
    first.seconds > time ? 'by another thread, ' : '', ...when(first.seconds, first.stack)]));
  by_id('misuses').replaceChildren(...folded([
    {title: 'at', number: true, cell: (row) => seconds(row.seconds)},
    {title: 'thread', number: true, cell: (row) => row.thread === null ? '' : String(row.thread)},
    {title: 'address', class: 'short', cell: (row) => make('code', {}, hex(row.address))},
    {title: 'call', class: 'short', cell: (row) => row.call},
    {title: 'from', cell: (row) => frames(row.stack)},
    {title: 'freed first', cell: first},
    {title: 'reserved', cell: (row) => make('span', {}, ...(row.first === null ? []
      : when(row.first.reserved_seconds, row.first.reserved_stack)))},
  ], list));
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
