// The status page's script: puts what the adapter says into the page, as text, and draws its lines.
// It computes no figure.
"use strict";

const RECONNECT_MS = 10000; // after the adapter has refused: a browser gives up by itself then
const REDRAW_MS = 5000; // a step of the history
const HEIGHT = 240;
const WIDE = 500; // from there on the axes have names; the words under a chart have them, too
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const OPEN_CHARTS = 3; // of those that come later, as the page has it

// Colour and dash of each line, by its name; the names stand in the legend, too.
const STYLES = {
  "last readings": { stroke: "--observed", width: 1 },
  smoothed: { stroke: "--smoothed", width: 2 },
  forecast: { stroke: "--forecast", width: 2, dash: [7, 4], border: "dashed" },
  target: { stroke: "--target", width: 1.5, dash: [2, 3], border: "dotted" },
  pods: { stroke: "--replicas", width: 1.5, border: "double" },
};

const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function resize(parent, count, make) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(make());
}

function heading() {
  const node = document.createElement("th");
  node.scope = "col";
  return node;
}

function fill(table) {
  const head = byId(`t-${table.name}`).tHead.rows[0]; // with the first price there is a cost
  resize(head, table.head.length, heading);
  table.head.forEach((text, i) => put(head.children[i], text));
  const body = byId(`t-${table.name}`).tBodies[0];
  resize(body, table.rows.length, () => document.createElement("tr"));
  table.rows.forEach((cells, i) => {
    const row = body.children[i];
    resize(row, cells.length, () => document.createElement("td"));
    cells.forEach(([text, tone], j) => {
      put(row.children[j], text);
      row.children[j].className = tone;
    });
  });
  byId(`s-${table.name}`).hidden = table.rows.length === 0;
  put(byId(`w-${table.name}`), table.words);
}

function list(parent, texts) {
  resize(parent, texts.length, () => document.createElement("li"));
  texts.forEach((text, i) => put(parent.children[i], text));
}

// The charts that are open, by the element that holds them.
const drawn = new Map();

function arrange(charts) {
  const parent = byId("charts");
  const known = new Map([...parent.children].map((node) => [node.dataset.query, node]));
  const wanted = new Set(charts.map((chart) => chart.query));
  for (const [query, node] of known) {
    if (!wanted.has(query)) {
      forget(node);
      node.remove();
    }
  }
  charts.forEach((chart, i) => {
    const node = known.get(chart.query) ?? fresh(chart, i);
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
    put(node.querySelector("summary"), chart.title);
    put(node.querySelector(".words"), chart.words);
    list(node.querySelector(".changes"), chart.changes);
  });
}

function fresh(chart, number) {
  const node = byId("chart").content.firstElementChild.cloneNode(true);
  node.dataset.query = chart.query;
  node.open = number < OPEN_CHARTS;
  node.querySelector(".plot").setAttribute("aria-label", chart.title);
  node.addEventListener("toggle", () => draw(node));
  return node;
}

function forget(node) {
  drawn.get(node)?.plot?.destroy();
  drawn.delete(node);
}

async function draw(node) {
  if (!node.open) return forget(node);
  const now = performance.now();
  const mine = drawn.get(node) ?? { asked: -Infinity, plot: null, shape: "" };
  drawn.set(node, mine);
  if (now - mine.asked < REDRAW_MS) return;
  mine.asked = now;
  try {
    const answer = await fetch(`status/history?${node.dataset.query}`);
    if (answer.ok && node.open && drawn.get(node) === mine) show(node, mine, await answer.json());
  } catch {
    // The adapter is away; the page says so by itself.
  }
}

function show(node, mine, story) {
  const lines = story.lines.filter((line) => line.values.some((value) => value !== null));
  const data = [story.at, ...lines.map((line) => line.values)];
  const shape = `${story.unit}: ${lines.map((line) => line.name)}`;
  mine.story = story;
  if (mine.plot && mine.shape === shape) {
    mine.plot.setData(data);
  } else {
    mine.plot?.destroy();
    mine.shape = shape;
    const place = node.querySelector(".plot");
    mine.plot = new uPlot(options(mine, lines, place.clientWidth), data, place);
  }
  tellPresent(mine);
}

// While nobody points at a moment the legend tells the present one.
function tellPresent({ plot, story }) {
  if (plot && plot.cursor.left < 0) plot.setLegend({ idx: story.at.indexOf(story.now) });
}

function options(mine, lines, width) {
  const wide = width > WIDE;
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: {
      x: { range: (_, low, high) => [low, high] },
      y: { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] },
      pods: { range: (_, low, high) => [0, Math.max(2, (high ?? 0) + 1)] },
    },
    axes: [
      { ...axis, values: "{HH}:{mm}:{ss}", space: 90, size: 32 },
      { ...axis, scale: "y", label: wide ? mine.story.unit : undefined, labelSize: 20, size: 50 },
      { ...axis, scale: "pods", side: 1, label: wide ? "pods" : undefined, labelSize: 20, size: 40, grid: { show: false }, incrs: WHOLE },
    ],
    cursor: { y: false, drag: { x: false, y: false } },
    legend: {
      markers: { width: 2, stroke: (u, i) => u.series[i].stroke(), dash: (u, i) => STYLES[u.series[i].label]?.border ?? "solid", fill: () => "transparent" },
    },
    series: [{ value: "{HH}:{mm}:{ss} UTC" }, ...lines.map(series)],
    hooks: { drawClear: [(u) => shade(u, mine.story)], ready: [(u) => tellPresent({ plot: u, story: mine.story })] },
  };
}

function series(line) {
  const style = STYLES[line.name];
  const pods = line.name === "pods";
  return {
    label: line.name,
    stroke: () => colour(style.stroke),
    width: style.width,
    dash: style.dash,
    scale: pods ? "pods" : "y",
    paths: pods || line.name === "target" ? uPlot.paths.stepped({ align: 1 }) : undefined,
    spanGaps: line.name === "forecast",
    points: { show: false },
    value: (_, value) => (value === null ? "-" : String(value)),
  };
}

// From now until a pod that is asked for now would serve.
function shade(u, story) {
  if (story.servesAt === null) return;
  const from = u.valToPos(story.now, "x", true);
  const to = Math.min(u.valToPos(story.servesAt, "x", true), u.bbox.left + u.bbox.width);
  u.ctx.save();
  u.ctx.fillStyle = colour("--band");
  u.ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
  u.ctx.restore();
}

function every(visit) {
  for (const node of byId("charts").children) visit(node);
}

function take(board) {
  put(byId("stamp"), board.stamp);
  put(byId("summary"), board.summary);
  board.tables.forEach(fill);
  arrange(board.charts);
  every(draw);
}

function follow() {
  const events = new EventSource("status/events");
  const live = byId("live");
  events.onmessage = (event) => {
    put(live, "Live, as of");
    take(JSON.parse(event.data));
  };
  events.onerror = () => {
    put(live, "Not live, as of");
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, RECONNECT_MS);
  };
}

every((node) => {
  node.addEventListener("toggle", () => draw(node));
  draw(node);
});
new ResizeObserver(() => {
  for (const [node, mine] of drawn) {
    mine.plot?.setSize({ width: node.querySelector(".plot").clientWidth, height: HEIGHT });
  }
}).observe(byId("charts"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [node, mine] of drawn) {
    mine.shape = "";
    mine.asked = -Infinity;
    draw(node);
  }
});
follow();
