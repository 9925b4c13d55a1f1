"use strict";
// The map of a corpus: draws the slices that the page holds, filters them, and tells about the one that is picked.
// Longitude x and latitude y are in radians of the Mercator projection; the view's k is pixels to such a radian.

const FACETS = [["scale", "Scale", ""], ["fate", "Kept or dropped", ""], ["scene", "Scene", ""],
                ["region", "Region", "none"], ["split", "Split", "none"]];
const TURN = 2 * Math.PI, RADIUS = 6378137, MICRO = Math.PI / 180e6, MOST_NORTH = 89.5e6;
const TINY = 6, PICTURE = 36, MOST_PICTURES = 400, MOST_RELATED = 60, MOST_NAMED = 60, LONGEST_NAME = 34, DOT = 16, SLOW = 30;
const $ = (id) => document.getElementById(id);
const D = JSON.parse($("data").textContent);
const COLOURS = JSON.parse($("colours").textContent);

// ---- What the page holds -------------------------------------------------------------------------------------------

function numbers(packed) {
  const text = atob(packed.base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const kinds = {uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array, float32: Float32Array};
  return new kinds[packed.type](bytes.buffer);
}
const unpacked = (columns) => Object.fromEntries(Object.entries(columns).map(([name, c]) => [name, numbers(c)]));

const codes = unpacked(D.codes), values = unpacked(D.numbers), features = unpacked(D.features);
const parents = numbers(D.parents), starts = numbers(D.starts), rings = numbers(D.rings), N = D.ids.length;
const numberOf = new Map(D.ids.map((id, i) => [id, i]));
const word = (name, i) => D.names[name][codes[name][i]];
const fateColours = D.names.fate.map((fate) => COLOURS[fate]);
const NEVER_CUT = D.names.fate.indexOf("too few pixels");  // such slices hide none: they are outlines

const mercator = (micro) => Math.asinh(Math.tan(Math.max(-MOST_NORTH, Math.min(MOST_NORTH, micro)) * MICRO));
const latitude = (y) => Math.atan(Math.sinh(y));
const X = new Float64Array(rings.length / 2), Y = new Float64Array(rings.length / 2);
for (let p = 0; p < X.length; p++) { X[p] = rings[2 * p] * MICRO; Y[p] = mercator(rings[2 * p + 1]); }

const west = new Float64Array(N), east = new Float64Array(N), south = new Float64Array(N), north = new Float64Array(N);
for (let i = 0; i < N; i++) {
  west[i] = south[i] = Infinity; east[i] = north[i] = -Infinity;
  for (let p = starts[i]; p < starts[i + 1]; p++) {
    west[i] = Math.min(west[i], X[p]); east[i] = Math.max(east[i], X[p]);
    south[i] = Math.min(south[i], Y[p]); north[i] = Math.max(north[i], Y[p]);
  }
}
const order = Uint32Array.from({length: N}, (_, i) => i)  // large ones first, and colours together
  .sort((a, b) => codes.scale[a] - codes.scale[b] || codes.fate[b] - codes.fate[a] || a - b);
const children = new Map();
for (const i of order) if (parents[i] >= 0) (children.get(parents[i]) || children.set(parents[i], []).get(parents[i])).push(i);

const places = D.names.scene.map(() => [Infinity, Infinity, -Infinity, -Infinity]);  // of scenes: west, south, east, north
for (const i of order) {
  const b = places[codes.scene[i]], t = b[0] < Infinity ? TURN * Math.round((b[0] - west[i]) / TURN) : 0;
  b[0] = Math.min(b[0], west[i] + t); b[1] = Math.min(b[1], south[i]); b[2] = Math.max(b[2], east[i] + t); b[3] = Math.max(b[3], north[i]);
}
const sceneSize = (code) => Math.max(places[code][2] - places[code][0], places[code][3] - places[code][1]);

// ---- What is shown -------------------------------------------------------------------------------------------------

const off = Object.fromEntries(FACETS.map(([name]) => [name, new Set()]));  // the codes that are switched off
const shown = new Uint8Array(N).fill(1), above = new Uint8Array(N);  // above: one below it is shown
let picked = -1;  // the number of the slice that is told about

function filter() {
  const counts = Object.fromEntries(FACETS.map(([name]) => [name, new Uint32Array(D.names[name].length)]));
  above.fill(0);
  for (let i = 0; i < N; i++) {
    let hidden = 0, by = "";
    for (const [name] of FACETS) if (off[name].has(codes[name][i])) { hidden++; by = name; }
    shown[i] = hidden ? 0 : 1;
    if (!hidden) for (const [name] of FACETS) counts[name][codes[name][i]]++;
    if (hidden === 1) counts[by][codes[by][i]]++;  // so many would come if it were switched on
  }
  for (let i = 0; i < N; i++) if (shown[i] && parents[i] >= 0 && codes.fate[i] !== NEVER_CUT) above[parents[i]] = 1;
  for (const [name] of FACETS) for (const [code, row] of rows[name]) {
    row.count.textContent = counts[name][code].toLocaleString("en");
    row.box.checked = !off[name].has(code);
  }
  draw();
}

// ---- The view ------------------------------------------------------------------------------------------------------

const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d", {alpha: false});
const last = document.createElement("canvas");  // the last whole drawing, moved about while a new one would be slow
const view = {x: 0, y: 0, k: 100}, drawn = {...view};
let W = 1, H = 1, R = 1, cost = 0, asked = 0, later = 0;
const turnOf = (x) => TURN * Math.round((view.x - x) / TURN);  // the copy of a meridian that is nearest
const across = (x) => (x - view.x) * view.k + W / 2, down = (y) => (view.y - y) * view.k + H / 2;

function fit(these) {
  if (!these.length) return;
  const lon = Float64Array.from(these, (i) => ((west[i] % TURN) + TURN) % TURN).sort();
  let start = lon[0], gap = lon[0] + TURN - lon[lon.length - 1];  // begins east of the widest gap
  for (let j = 1; j < lon.length; j++) if (lon[j] - lon[j - 1] > gap) { gap = lon[j] - lon[j - 1]; start = lon[j]; }
  let right = start, low = Infinity, high = -Infinity;
  for (const i of these) {
    right = Math.max(right, start + (((west[i] - start) % TURN) + TURN + 1e-9) % TURN + east[i] - west[i]);
    low = Math.min(low, south[i]); high = Math.max(high, north[i]);
  }
  view.x = (start + right) / 2; view.y = (low + high) / 2;
  zoomTo(.88 * Math.min(W / (right - start || 1e-9), H / (high - low || 1e-9)));
  draw();
}
const allShown = () => { const s = order.filter((i) => shown[i]); return s.length ? s : order; };
const zoomTo = (k) => { view.k = Math.max(Math.min(W, H) / TURN / 1.5, Math.min(2e8, k)); };

function zoom(factor, x = W / 2, y = H / 2) {
  const k = view.k;
  zoomTo(k * factor);
  view.x += (x - W / 2) * (1 / k - 1 / view.k); view.y -= (y - H / 2) * (1 / k - 1 / view.k);
  draw();
}
function move(dx, dy) { view.x -= dx / view.k; view.y = Math.max(-6, Math.min(6, view.y + dy / view.k)); draw(); }

// ---- Drawing -------------------------------------------------------------------------------------------------------

function draw() { if (!asked) asked = requestAnimationFrame(() => { asked = 0; paint(false); }); }

function paint(whole) {
  clearTimeout(later);
  if (!whole && cost > SLOW && last.width === canvas.width) {  // too slow for every step of a movement
    const s = view.k / drawn.k, css = getComputedStyle(document.documentElement);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = css.getPropertyValue("--ground"); pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(s, 0, 0, s, R * (across(drawn.x) - s * W / 2), R * (down(drawn.y) - s * H / 2));
    pen.drawImage(last, 0, 0);
    later = setTimeout(() => paint(true), 120);
    return;
  }
  const begin = performance.now(), css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  pen.setTransform(R, 0, 0, R, 0, 0);
  pen.globalAlpha = 1; pen.fillStyle = colour("--ground"); pen.fillRect(0, 0, W, H);
  const labels = graticule(colour("--grid"));
  const visible = inView(), seen = $("images").checked ? images(visible) : new Set();
  slices(visible, seen);
  pen.strokeStyle = colour("--mark"); pen.lineWidth = 1;
  scenes(visible, labels);
  marked(colour("--mark"), colour("--ground"));
  pen.font = "12px system-ui, sans-serif"; pen.lineWidth = 3; pen.lineJoin = "round";
  for (const [text, x, y, align] of [...labels, scaleBar(colour("--ink"), colour("--ground"))]) {
    pen.textAlign = align; pen.strokeStyle = colour("--ground"); pen.fillStyle = colour("--ink");
    pen.strokeText(text, x, y); pen.fillText(text, x, y);
  }
  Object.assign(drawn, view);
  last.width = canvas.width; last.height = canvas.height;
  last.getContext("2d", {alpha: false}).drawImage(canvas, 0, 0);
  cost = performance.now() - begin;
}

function inView() {
  const visible = [], half = W / 2 / view.k, low = view.y - H / 2 / view.k, high = view.y + H / 2 / view.k;
  for (const i of order) {
    if (!shown[i] || north[i] < low || south[i] > high) continue;
    const t = turnOf((west[i] + east[i]) / 2);
    if (east[i] + t >= view.x - half && west[i] + t <= view.x + half) visible.push(i);
  }
  return visible;
}

function outline(i) {
  const t = turnOf((west[i] + east[i]) / 2);
  for (let p = starts[i]; p < starts[i + 1]; p++) {
    if (p === starts[i]) pen.moveTo(across(X[p] + t), down(Y[p])); else pen.lineTo(across(X[p] + t), down(Y[p]));
  }
  pen.closePath();
}

function slices(visible, seen) {
  const spots = new Uint8Array(W * H);
  for (let from = 0, to; from < visible.length; from = to) {  // runs of one scale and fate, in paths that stay small
    const first = visible[from], scale = codes.scale[first], fate = codes.fate[first], empty = fate === NEVER_CUT;
    const filled = [], lined = [];
    pen.fillStyle = pen.strokeStyle = fateColours[fate];
    pen.globalAlpha = .6;
    for (to = from; to < visible.length && codes.scale[visible[to]] === scale && codes.fate[visible[to]] === fate; to++) {
      const i = visible[to], w = (east[i] - west[i]) * view.k, h = (north[i] - south[i]) * view.k;
      if (w > TINY || h > TINY) { lined.push(i); if (!above[i] && !empty) filled.push(i); continue; }
      if (above[i] || empty) continue;
      const x = across(west[i] + turnOf((west[i] + east[i]) / 2)), y = down(north[i]), spot = Math.round(y) * W + Math.round(x);
      if (w < 1 && h < 1 && spots[spot] === fate + 1) continue;  // hidden behind one of its own colour
      spots[spot] = fate + 1;
      pen.fillRect(x, y, Math.max(w, 1.5), Math.max(h, 1.5));
    }
    paths(filled.filter((i) => !seen.has(i)), () => { pen.globalAlpha = .42; pen.fill(); });
    paths(filled.filter((i) => seen.has(i)), () => { pen.globalAlpha = .14; pen.fill(); });
    paths(lined, () => { pen.globalAlpha = .95; pen.lineWidth = empty ? .5 : [2.4, 1.5, 1][scale] || 1; pen.stroke(); });
  }
  pen.globalAlpha = 1;
}
function paths(these, finish) {
  for (let from = 0; from < these.length; from += 64) {
    pen.beginPath();
    for (const i of these.slice(from, from + 64)) outline(i);
    finish();
  }
}

const loaded = new Map();
function picture(i) {
  if (!(i in D.pictures)) return null;
  if (!loaded.has(i)) {
    const image = new Image();
    image.onload = draw;
    image.src = `data:image/jpeg;base64,${D.pictures[i].jpeg}`;
    loaded.set(i, image);
  }
  return loaded.get(i);
}
function images(visible) {  // on their ground, where they are large enough to see; returns which slices have one
  const seen = new Set();
  for (const i of visible) {
    const corners = i in D.pictures && D.pictures[i].corners;
    if (!corners || (east[i] - west[i]) * view.k < PICTURE || seen.size >= MOST_PICTURES) continue;
    const image = picture(i);
    if (!image.complete || !image.naturalWidth) continue;
    const t = turnOf((west[i] + east[i]) / 2);
    const at = [0, 1, 3].map((c) => [across(corners[2 * c] * MICRO + t), down(mercator(corners[2 * c + 1]))]);
    const w = image.naturalWidth, h = image.naturalHeight, [[x, y], [x1, y1], [x3, y3]] = at;
    pen.save();
    pen.transform((x1 - x) / w, (y1 - y) / w, (x3 - x) / h, (y3 - y) / h, x, y);
    pen.drawImage(image, 0, 0);
    pen.restore();
    seen.add(i);
  }
  return seen;
}

function scenes(visible, labels) {  // a ring and a name for scenes that are only dots
  const taken = [];
  for (const code of new Set(visible.map((i) => codes.scene[i]))) {
    if (sceneSize(code) * view.k > DOT) continue;
    const [left, low, right, high] = places[code], whole = D.names.scene[code];
    const name = whole.length > LONGEST_NAME ? `${whole.slice(0, LONGEST_NAME - 9)}...${whole.slice(-6)}` : whole;
    const x = across((left + right) / 2 + turnOf((left + right) / 2)), y = down((low + high) / 2);
    pen.beginPath(); pen.arc(x, y, 8, 0, TURN); pen.stroke();
    const wide = 7 * name.length, turned = x + 12 + wide > W, spot = [x + (turned ? -12 - wide : 12), y - 8, x + (turned ? -12 : 12 + wide), y + 8];
    if (taken.length >= MOST_NAMED || taken.some((o) => spot[0] < o[2] && o[0] < spot[2] && spot[1] < o[3] && o[1] < spot[3])) continue;
    taken.push(spot);
    labels.push([name, x + (turned ? -12 : 12), y + 4, turned ? "right" : "left"]);
  }
}

function marked(colour, ground) {
  if (picked >= 0) {
    const x = (west[picked] + east[picked]) / 2, y = (south[picked] + north[picked]) / 2;
    pen.beginPath(); outline(picked);
    if ((east[picked] - west[picked]) * view.k < 12) { pen.moveTo(across(x + turnOf(x)) + 11, down(y)); pen.arc(across(x + turnOf(x)), down(y), 11, 0, TURN); }
    pen.strokeStyle = colour; pen.lineWidth = 5; pen.stroke();
    pen.strokeStyle = ground; pen.lineWidth = 2; pen.stroke();
  }
  if (document.activeElement === canvas && canvas.matches(":focus-visible")) {
    pen.strokeStyle = colour; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(W / 2 - 9, H / 2); pen.lineTo(W / 2 + 9, H / 2); pen.moveTo(W / 2, H / 2 - 9); pen.lineTo(W / 2, H / 2 + 9); pen.stroke();
  }
}

const degrees = (value, digits, positive, negative) => `${Math.abs(value).toFixed(digits)}° ${value < 0 ? negative : value > 0 ? positive : ""}`.trim();
function meridian(x, digits) {
  const lon = ((x / MICRO / 1e6 + 540) % 360 + 360) % 360 - 180;
  return Math.abs(lon) < 179.999999 ? degrees(lon, digits, "E", "W") : "180°";
}
const parallel = (radians, digits) => degrees(radians / MICRO / 1e6, digits, "N", "S");

function graticule(colour) {
  const steps = [60, 30, 15, 10, 5, 2, 1, .5, .2, .1, .05, .02, .01, .005, .002, .001, .0005, .0002, .0001];
  const radian = Math.PI / 180, labels = [];
  const step = steps.filter((s) => s * radian * view.k >= 110).pop() || 90;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  pen.strokeStyle = colour; pen.lineWidth = 1; pen.beginPath();
  const first = Math.ceil((view.x - W / 2 / view.k) / radian / step);
  for (let n = first; across(n * step * radian) <= W; n++) {
    const x = Math.round(across(n * step * radian)) + .5;
    pen.moveTo(x, 0); pen.lineTo(x, H);
    labels.push([meridian(n * step * radian, digits), x, H - 30, "center"]);
  }
  const lowest = Math.max(latitude(view.y - H / 2 / view.k) / radian, -89);
  for (let n = Math.ceil(lowest / step); n * step <= 89; n++) {
    const y = Math.round(down(mercator(n * step * 1e6))) + .5;
    if (y < 0) break;
    pen.moveTo(0, y); pen.lineTo(W, y);
    if (y > 52 && y < H - 46) labels.push([parallel(n * step * radian, digits), 8, y - 4, "left"]);
  }
  pen.stroke();
  return labels;
}

function scaleBar(colour, ground) {  // true in the middle of the map
  const metres = RADIUS * Math.cos(latitude(view.y)) / view.k, most = 130 * metres, ten = 10 ** Math.floor(Math.log10(most));
  const length = ten * (most >= 5 * ten ? 5 : most >= 2 * ten ? 2 : 1), px = length / metres;
  pen.beginPath(); pen.moveTo(12, H - 18); pen.lineTo(12, H - 12); pen.lineTo(12 + px, H - 12); pen.lineTo(12 + px, H - 18);
  pen.strokeStyle = ground; pen.lineWidth = 5; pen.stroke();
  pen.strokeStyle = colour; pen.lineWidth = 2; pen.stroke();
  return [length >= 1000 ? `${length / 1000} km` : `${length} m`, 20 + px, H - 11, "left"];
}
