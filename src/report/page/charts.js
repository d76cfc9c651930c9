// The charts over time: committed by use, what happened, calls a second. They have one x axis, and zoom together.
const USES = [
  ['gc_heap', 'GC heap'], ['gc_tables', 'GC tables'], ['code', 'code'], ['loader', 'loader'], ['views', 'views'],
  ['other', 'other'], ['malloc', 'IHostMalloc'],
];
const METHOD_COLOURS = ['gc_heap', 'code', 'loader', 'views', 'other', 'gc_tables', 'malloc'];
const AXIS_WIDTH = 76;

function charts(data, on_moment) {
  const times = data.timeline, slices = times.slices;
  const x = Array.from({length: slices}, (_, i) => i * times.slice_seconds);
  const zeros = new Array(slices).fill(0);
  const of = (column) => column || zeros;
  const uses = USES.filter(([key]) => times.committed[key]);
  const all = [];
  let zooming = false;

  const stepped = uPlot.paths.stepped({align: 1});
  const axis_font = '12px system-ui, "Segoe UI", "Liberation Sans", sans-serif';
  const axis = (more) => ({stroke: colour('quiet'), font: axis_font, grid: {stroke: colour('grid'), width: 1},
    ticks: {stroke: colour('grid'), width: 1}, ...more});
  const seconds_axis = (more) => axis({size: 30, values: (_, splits) => splits.map((value) => `${+value.toFixed(6)} s`), ...more});

  // All show the same stretch of time.
  function zoomed(from) {
    if (zooming) return;
    zooming = true;
    for (const chart of all) if (chart !== from) chart.setScale('x', {min: from.scales.x.min, max: from.scales.x.max});
    zooming = false;
  }

  function add(id, height, options, columns) {
    const place = by_id(id);
    const chart = new uPlot({
      width: place.clientWidth, height, padding: [8, 14, 0, 0], legend: {show: false}, scales: {x: {time: false}, ...options.scales},
      cursor: {sync: {key: 'time', setSeries: false}, points: {show: false}, y: false, drag: {x: true, y: false}},
      series: [{}, ...options.series], axes: options.axes, drawOrder: ['series', 'axes'],
      hooks: {setScale: [(self, key) => { if (key === 'x') zoomed(self); }], draw: options.draw ? [options.draw] : []},
    }, [options.x || x, ...columns], place);
    chart.over.addEventListener('mousemove', (event) => {
      const at = chart.cursor.idx;
      if (at == null) return;
      tip.show(event, seconds((options.x || x)[at]), options.tip(at));
    });
    chart.over.addEventListener('mouseleave', tip.hide);
    let pressed = null;
    chart.over.addEventListener('mousedown', (event) => { pressed = event.clientX; });
    chart.over.addEventListener('mouseup', (event) => {
      if (pressed !== null && Math.abs(event.clientX - pressed) < 3 && chart.cursor.idx != null) on_moment((options.x || x)[chart.cursor.idx]);
      pressed = null;
    });
    all.push(chart);
    return chart;
  }

  // ---- committed by use: sums, the greatest drawn first, each painted over by the next
  function committed() {
    const sums = [];
    let below = zeros;
    for (const [key] of uses) {
      const column = times.committed[key];
      below = below.map((sum, i) => sum + column[i] / MIB);
      sums.push(below);
    }
    const series = [], columns = [];
    for (let i = uses.length - 1; i >= 0; i--) {
      series.push({fill: colour(uses[i][0]), width: 0, paths: stepped, points: {show: false}});
      columns.push(sums[i]);
    }
    const line = (column, name, dash, width) => {
      if (!column) return;
      series.push({stroke: colour(name), width: width || 2, dash, paths: stepped, points: {show: false}, spanGaps: false});
      columns.push(column.map((value) => (value === null ? null : value / MIB)));
    };
    line(times.peak, 'peak', undefined, 1);
    line(times.limits.limit, 'limit', [8, 5]);
    line(times.limits.heap_limit, 'limit', [2, 4]);
    line(times.limits.soft, 'soft', [6, 4]);
    if (data.compared && data.compared.most) {
      const other = data.compared;
      line(x.map((time) => other.most[Math.floor(time / other.slice_seconds)] ?? null), 'process', [3, 3]);
    }
    // The limits are shown unless they are so far up that nothing else would be seen.
    const most = data.committed.most / MIB;
    const top = Math.max(most, ...['limit', 'soft', 'heap_limit'].flatMap((key) =>
      (times.limits[key] || []).filter((value) => value !== null && value / MIB < most * 3).map((value) => value / MIB)), 0);
    add('timeline', 320, {
      series, scales: {y: {range: [0, top * 1.06 || 1]}},
      axes: [seconds_axis(), axis({size: AXIS_WIDTH, values: (_, splits) => splits.map((value) => `${value} MiB`)})],
      tip(at) {
        const rows = [...uses].reverse().map(([key, name]) => [name, mib(times.committed[key][at])]);
        rows.push(['in all', mib(uses.reduce((sum, [key]) => sum + times.committed[key][at], 0))]);
        if (times.peak) rows.push(['most in this slice', mib(times.peak[at])]);
        for (const [key, name] of [['limit', 'limit'], ['soft', 'low from'], ['heap_limit', 'heap limit']]) {
          if (times.limits[key] && times.limits[key][at] !== null) rows.push([name, mib(times.limits[key][at])]);
        }
        if (times.reserved) rows.push(['reserved', size(times.reserved[at])]);
        if (times.process && times.process[at] !== null) rows.push(['all of the process', mib(times.process[at])]);
        return rows;
      },
    }, columns);

    const legend = uses.map(([key, name]) => make('li', {}, make('i', {style: `background:var(--${key})`}), name));
    const add_line = (there, name, text) => {
      if (there) legend.push(make('li', {}, make('i', {class: 'line', style: `border-color:var(--${name})`}), text));
    };
    add_line(times.limits.limit, 'limit', 'limit');
    add_line(times.limits.heap_limit, 'limit', 'heap limit');
    add_line(times.limits.soft, 'soft', 'low from');
    add_line(data.compared, 'process', 'the other trace, in all');
    by_id('uses').replaceChildren(...legend);
  }

  // ---- what happened: a lane for each kind, with a tick for each slice in which it did
  function lanes() {
    // What the first one has may be from before the trace.
    const differences = (column) => column && column.map((value, i) => (i ? Math.max(0, (value || 0) - (column[i - 1] || 0)) : 0));
    const rows = [
      ['refused', times.refusals, 'mark'], ['Low', times.notified.low, 'soft'],
      ['Neutral', times.notified.neutral, 'other'], ['High', times.notified.high, 'loader'],
      ['gen2', differences(times.collections.gen2), 'process'], ['gen0, 1', differences(times.collections.gen0), 'gc_heap'],
      ['overruns', times.overruns, 'mark'], ['lost', times.lost, 'mark'],
    ].filter(([, column]) => column && column.some((value) => value > 0));
    by_id('lanes').hidden = rows.length === 0;
    if (rows.length === 0) return;
    add('lanes', rows.length * 20 + 12, {
      series: rows.map(() => ({show: true, width: 0, paths: () => null, points: {show: false}})),
      scales: {y: {range: [0, rows.length]}},
      axes: [axis({show: false}), axis({size: AXIS_WIDTH, splits: () => rows.map((_, i) => i + .5), grid: {show: false}, ticks: {show: false},
        values: () => rows.map(([name]) => name).reverse()})],
      draw(self) {
        const context = self.ctx, ratio = devicePixelRatio;
        context.save();
        rows.forEach(([, column, name], row) => {
          const top = self.valToPos(rows.length - row - .12, 'y', true), bottom = self.valToPos(rows.length - row - .88, 'y', true);
          context.fillStyle = colour('grid');
          context.fillRect(self.bbox.left, bottom + ratio, self.bbox.width, ratio);
          context.fillStyle = colour(name);
          column.forEach((value, i) => {
            if (!value || x[i] < self.scales.x.min || x[i] > self.scales.x.max) return;
            context.fillRect(Math.round(self.valToPos(x[i], 'x', true) - ratio), top, 2 * ratio, bottom - top);
          });
        });
        context.restore();
      },
      tip: (at) => rows.map(([name, column]) => [name, count(column[at])]),
    }, rows.map(([, column]) => column));
  }

  // ---- calls
  function calls() {
    const methods = Object.entries(times.calls);
    by_id('calls-section').hidden = methods.length === 0;
    if (methods.length === 0) return;
    const together = Math.ceil(slices / 250); // as many slices are one point, or it would be all noise
    const starts = x.filter((_, i) => i % together === 0);
    const rates = methods.map(([, column]) => starts.map((_, at) => {
      const part = column.slice(at * together, (at + 1) * together);
      return part.reduce((sum, value) => sum + value, 0) / part.length / times.slice_seconds;
    }));
    add('calls', 200, {
      x: starts,
      series: methods.map((_, i) => ({stroke: colour(METHOD_COLOURS[i % METHOD_COLOURS.length]), width: 1.5, points: {show: false}})),
      scales: {y: {range: (_, low, high) => [0, high * 1.05 || 1]}},
      axes: [seconds_axis(), axis({size: AXIS_WIDTH, values: (_, splits) => splits.map((value) => `${count(value)} /s`)})],
      tip: (at) => methods.map(([name], i) => [name, `${count(Math.round(rates[i][at]))} /s`]),
    }, rates);
    by_id('methods').replaceChildren(...methods.map(([name], i) =>
      make('li', {}, make('i', {style: `background:var(--${METHOD_COLOURS[i % METHOD_COLOURS.length]})`}), name)));
  }

  committed();
  lanes();
  calls();
  return {
    all,
    resize() { for (const chart of all) chart.setSize({width: chart.root.parentElement.clientWidth, height: chart.height}); },
    destroy() { for (const chart of all) chart.destroy(); },
  };
}
