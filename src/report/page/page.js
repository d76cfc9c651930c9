// The page: everything from the data that is in it. Drawn anew when the colours or the width change.
const data = JSON.parse(by_id('data').textContent);
const map = address_map(data);
let drawn = null;

function draw() {
  if (drawn) drawn.destroy();
  drawn = charts(data, map.show);
  map.draw();
}

heading(data);
figures(data);
call_table(data);
sites(data);
owned(data);
misused(data);
compared(data);
draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
let resizing = 0;
addEventListener('resize', () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => { drawn.resize(); map.draw(); }, 100);
});
window.hostmem_report = {data, map, charts: () => drawn.all}; // for whoever looks from outside
