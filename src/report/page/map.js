// The address space at a moment. Frames say what is different from the one before.
const MAP_USES = ['other', 'gc_heap', 'gc_tables', 'code', 'loader', 'views', 'malloc'];
const MAP_NAMES = ['other', 'GC heap', 'GC tables', 'code', 'loader', 'view', 'IHostMalloc'];

function address_map(data) {
  const canvas = by_id('map'), slider = by_id('moment');
  const ROW = 22, GAP = 5, LABEL = 128, PART_STEP = 5;
  let cells = [];

  function regions_at(index) {
    const regions = new Map();
    for (const frame of data.frames.slice(0, index + 1)) {
      for (const base of frame.gone) regions.delete(base);
      for (const [base, bytes, committed, use, runs] of frame.set) regions.set(base, {base, bytes, committed, use, runs});
    }
    return [...regions.values()].sort((a, b) => a.base - b.base);
  }

  // What a region is made of, in order: stretches that are committed, and others.
  function parts_of(region) {
    const parts = [];
    let at = 0;
    const part = (end, committed) => {
      if (end > at) parts.push({region, start: region.base + at, bytes: end - at, committed});
      at = Math.max(at, end);
    };
    let runs = region.runs;
    if (runs.length === 0 && region.committed > 0) runs = [0, region.committed / 1024]; // where is not known: the first bytes
    for (let i = 0; i < runs.length; i += 2) {
      part(runs[i] * 1024, false);
      part((runs[i] + runs[i + 1]) * 1024, true);
    }
    part(region.bytes, false);
    return parts;
  }

  const width_of = (bytes) => Math.max(3, Math.round(PART_STEP * Math.log2(1 + bytes / 65536)));

  function lay_out(regions, width) {
    cells = [];
    let x = LABEL, y = 0, behind = null;
    for (const region of regions) {
      if (behind !== null && x > LABEL) x += region.base === behind ? 1 : GAP;
      for (const part of parts_of(region)) {
        let wide = width_of(part.bytes);
        if (x + wide > width && x > LABEL) { x = LABEL; y += ROW + 4; }
        wide = Math.min(wide, width - x);
        cells.push({...part, x, y, wide});
        x += wide;
      }
      behind = region.base + region.bytes;
    }
    return cells.length ? y + ROW : ROW;
  }

  function draw() {
    const frame = data.frames[slider.value];
    const regions = frame ? regions_at(+slider.value) : [];
    const width = canvas.clientWidth, ratio = devicePixelRatio;
    const height = lay_out(regions, width);
    canvas.style.height = `${height}px`;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext('2d');
    context.scale(ratio, ratio);
    context.font = '11px ui-monospace, "Cascadia Mono", Consolas, "Liberation Mono", monospace';
    context.textBaseline = 'middle';
    let labelled = -1;
    for (const cell of cells) {
      context.fillStyle = colour(MAP_USES[cell.region.use] || 'other');
      context.globalAlpha = cell.committed ? 1 : .25;
      context.fillRect(cell.x, cell.y, cell.wide, ROW);
      context.globalAlpha = 1;
      if (cell.y !== labelled) {
        context.fillStyle = colour('quiet');
        context.fillText(hex(cell.start), 0, cell.y + ROW / 2);
        labelled = cell.y;
      }
    }
    const sum = (key) => regions.reduce((total, region) => total + region[key], 0);
    by_id('moment-text').textContent = frame ? seconds(frame.seconds) : '';
    by_id('map-sums').textContent = `${count(regions.length)} regions, ${size(sum('bytes'))} reserved, ` +
      `${mib(sum('committed'))} committed${frame && !frame.all ? ' (there are more than the map takes)' : ''}`;
  }

  function cell_at(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    return cells.find((cell) => x >= cell.x && x < cell.x + cell.wide && y >= cell.y && y < cell.y + ROW);
  }

  canvas.addEventListener('mousemove', (event) => {
    const cell = cell_at(event);
    if (!cell) { tip.hide(); return; }
    const {region} = cell;
    tip.show(event, `${MAP_NAMES[region.use] || 'other'} region`, [
      ['base', hex(region.base)], ['size', size(region.bytes)], ['committed', size(region.committed)],
      [cell.committed ? 'here, committed' : 'here, only reserved', `${hex(cell.start)}, ${size(cell.bytes)}`]]);
  });
  canvas.addEventListener('mouseleave', tip.hide);
  slider.addEventListener('input', draw);
  slider.max = Math.max(0, data.frames.length - 1);
  slider.value = slider.max;

  return {
    draw,
    show(time) { // the last frame that is not later
      let index = 0;
      while (index + 1 < data.frames.length && data.frames[index + 1].seconds <= time) index++;
      slider.value = index;
      draw();
    },
    cells: () => cells,
  };
}
