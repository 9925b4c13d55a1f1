// What the map's page tells about the slice that is picked, its filters, pointer and keys; runs after map.js, as one script.

// ---- The slice that is picked --------------------------------------------------------------------------------------

function under(x, y) {  // the slices at a place of the canvas, the smallest first
  return inView().reverse().filter((i) => {
    const px = view.x + (x - W / 2) / view.k - turnOf((west[i] + east[i]) / 2), py = view.y - (y - H / 2) / view.k, slack = ((east[i] - west[i]) * view.k < TINY ? 8 : 0) / view.k;
    if (px < west[i] - slack || px > east[i] + slack || py < south[i] - slack || py > north[i] + slack) return false;
    if (slack) return true;
    let inside = false;
    for (let p = starts[i], q = starts[i + 1] - 1; p < starts[i + 1]; q = p++) {
      if ((Y[p] > py) !== (Y[q] > py) && px < (X[q] - X[p]) * (py - Y[p]) / (Y[q] - Y[p]) + X[p]) inside = !inside;
    }
    return inside;
  });
}
function pickAt(x, y) {
  const found = under(x, y), scene = found.length ? order.filter((i) => shown[i] && codes.scene[i] === codes.scene[found[0]]) : [];
  if (scene.length > 1 && sceneSize(codes.scene[scene[0]]) * view.k < 2 * DOT) { fit(scene); return; }
  pick(found.length ? found[(found.indexOf(picked) + 1) % found.length] : -1);
}
function pick(i, go = false) {
  picked = i;
  tell();
  history.replaceState(null, "", i < 0 ? "#" : `#${encodeURIComponent(D.ids[i]).replaceAll("%2F", "/")}`);
  if (go && i >= 0) {
    view.x = (west[i] + east[i]) / 2; view.y = (south[i] + north[i]) / 2;
    const size = Math.max(east[i] - west[i], north[i] - south[i]) * view.k;
    if (size > .9 * Math.min(W, H) || size < 30) zoomTo(view.k * .4 * Math.min(W, H) / size);
  }
  draw();
}
function step(by) {  // to the next slice that is shown, in the order of the index
  for (let n = 1, i = picked; n <= N; n++) {
    i = i < 0 ? (by > 0 ? 0 : N - 1) : (i + by + N) % N;
    if (shown[i]) { pick(i, true); return; }
  }
}

function element(kind, text = "", properties = {}, inside = []) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...(text === "" ? [] : [text]), ...inside);
  return made;
}
const digits = (value) => Number(value.toPrecision(4)).toLocaleString("en", {maximumFractionDigits: 6});
const table = (lines) => element("table", "", {}, [element("tbody", "", {}, lines.filter(([, text]) => text !== "" && text !== undefined)
  .map(([name, text]) => element("tr", "", {}, [element("th", name), element("td", text)])))]);
function related(these) {
  const items = these.slice(0, MOST_RELATED).map((i) => {
    const swatch = element("i"); swatch.style.background = fateColours[codes.fate[i]];
    return element("li", "", {}, [swatch, element("button", D.ids[i], {type: "button", className: "link", onclick: () => pick(i, true)})]);
  });
  if (these.length > items.length) items.push(element("li", `and ${these.length - items.length} more`));
  return element("ul", "", {className: "related"}, items);
}

function tell() {
  const i = picked, v = (name) => values[name][i];
  $("summary").hidden = i >= 0;
  if (i < 0) { $("slice").replaceChildren(); return; }
  const fate = element("p", `${codes.fate[i] ? "Dropped: " : ""}${word("fate", i)}`, {className: "fate"});
  fate.style.borderColor = fateColours[codes.fate[i]];
  const image = picture(i), below = children.get(i) || [];
  const middle = `${parallel(latitude((south[i] + north[i]) / 2), 5)}, ${meridian((west[i] + east[i]) / 2, 5)}`;
  const parts = [
    element("button", "All slices", {type: "button", onclick: () => pick(-1)}), element("h2", D.ids[i]), fate,
    image ? element("img", "", {src: image.src, alt: `Radar image of ${D.ids[i]}`}) : element("p", v("seen") ? "Its image is not among those on this page." : "It was dropped before its pixels were read.", {className: "soft"}),
    table([["richness", Number.isNaN(v("richness")) ? "" : v("richness").toFixed(2)], ["region", word("region", i)], ["split", word("split", i)],
           ["scene", word("scene", i)], ["ground shared with", word("group", i) === word("scene", i) ? "" : word("group", i)], ["scale", word("scale", i)],
           ["middle", middle], ["image", `${v("width")} x ${v("height")} px of ${digits(v("pixel_m"))} m`],
           ["with data", !v("seen") ? "" : `${(100 * v("data_share")).toFixed(v("data_share") < 1 && v("data_share") > .99 ? 2 : 0)} %`],
           ["sensor", word("sensor", i)], ["polarisation", word("polarisation", i)], ["day", word("acquired", i)],
           ["prior", v("prior_nodes") ? `${word("prior", i)}, ${v("prior_nodes")} vectors` : word("prior", i)]]),
  ];
  const measured = Object.entries(features).filter(([, column]) => !Number.isNaN(column[i]));
  if (measured.length) parts.push(element("h3", "Measured"), table(measured.map(([name, column]) => [name.replaceAll("_", " "), digits(column[i])])));
  if (parents[i] >= 0) parts.push(element("h3", "Parent"), related([parents[i]]));
  if (i in D.parents_away) parts.push(element("h3", "Parent"), element("p", `${D.parents_away[i]} (not on this page)`));
  if (below.length) parts.push(element("h3", `Children (${below.length})`), related(below));
  $("slice").replaceChildren(...parts);
}

// ---- Filters, pointer, keys ----------------------------------------------------------------------------------------

const rows = Object.fromEntries(FACETS.map(([name]) => [name, new Map()]));
function facet([name, title, nothing]) {
  const known = new Set(codes[name]), all = [...known].sort((a, b) => name === "scale" || name === "fate" ? a - b : D.names[name][a] < D.names[name][b] ? -1 : 1);
  const list = element("div", "", {className: all.length > 12 ? "long" : ""});
  const set = (hidden) => { off[name] = new Set(hidden); filter(); };
  for (const code of all) {
    const text = D.names[name][code] || nothing, box = element("input", "", {type: "checkbox", checked: true});
    const count = element("span", "", {className: "count"}), label = element("label", "", {}, [box]);
    box.onchange = () => { if (box.checked) off[name].delete(code); else off[name].add(code); filter(); };
    if (name === "fate") { const swatch = element("i"); swatch.style.background = fateColours[code]; label.append(swatch); }
    label.append(element("span", text));
    const row = element("div", "", {className: "choice"}, [label, count]);
    if (name === "scene") row.append(element("button", "fit", {type: "button", title: `Show ${text}`, onclick: () => fit(order.filter((i) => codes.scene[i] === code))}));
    else row.append(element("button", "only", {type: "button", title: `Only ${text}`, onclick: () => set(all.filter((other) => other !== code))}));
    rows[name].set(code, {box, count, row, text: text.toLowerCase()});
    list.append(row);
  }
  const head = element("legend", "", {}, [element("span", title), element("button", "all", {type: "button", onclick: () => set([])}),
                                          element("button", "none", {type: "button", onclick: () => set(all)})]);
  const search = element("input", "", {type: "search", placeholder: "find", ariaLabel: `Find a ${title.toLowerCase()}`});
  search.oninput = () => { for (const row of rows[name].values()) row.row.hidden = !row.text.includes(search.value.toLowerCase()); };
  if (all.length > 1 || name === "scale" || name === "fate" || name === "scene") {
    $("filters").append(element("fieldset", "", {}, [head, ...(all.length > 12 ? [search] : []), list]));
  }
}

const touches = new Map();
let travelled = 0;
const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  if (!touches.size) travelled = 0;
  touches.set(event.pointerId, at(event));
  if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = at(event), before = touches.get(event.pointerId);
  $("pointer").textContent = `${parallel(latitude(view.y - (y - H / 2) / view.k), 5)}, ${meridian(view.x + (x - W / 2) / view.k, 5)}`;
  if (!before) return;
  const other = [...touches].find(([id]) => id !== event.pointerId)?.[1];
  if (other) zoom(Math.hypot(x - other[0], y - other[1]) / (Math.hypot(before[0] - other[0], before[1] - other[1]) || 1), ...other);
  travelled += Math.hypot(x - before[0], y - before[1]);
  if (!other && travelled > 4) move(x - before[0], y - before[1]);
  touches.set(event.pointerId, [x, y]);
});
canvas.addEventListener("pointerup", (event) => {
  if (touches.size === 1 && touches.has(event.pointerId) && travelled <= 4) pickAt(...at(event));
  touches.delete(event.pointerId);
});
canvas.addEventListener("pointercancel", (event) => touches.delete(event.pointerId));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * (event.deltaMode ? 20 : 1))) / 300), ...at(event));
}, {passive: false});
const KEYS = {
  ArrowLeft: () => move(80, 0), ArrowRight: () => move(-80, 0), ArrowUp: () => move(0, 80), ArrowDown: () => move(0, -80),
  "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => fit(allShown()), Home: () => fit(allShown()),
  Enter: () => pickAt(W / 2, H / 2), Escape: () => pick(-1), n: () => step(1), p: () => step(-1),
};
canvas.addEventListener("keydown", (event) => {
  const act = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act) { event.preventDefault(); act(); }
});
for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, draw);
$("in").onclick = () => zoom(1.5);
$("out").onclick = () => zoom(1 / 1.5);
$("all").onclick = () => fit(allShown());
$("images").onchange = draw;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint(true));

function resized() {
  R = window.devicePixelRatio || 1; W = canvas.clientWidth || 1; H = canvas.clientHeight || 1;
  canvas.width = Math.round(W * R); canvas.height = Math.round(H * R);
  paint(true);
}
function fromAddress() {
  let asked;
  try { asked = numberOf.get(decodeURIComponent(location.hash.slice(1))); } catch { return; }  // no address of ours
  if (asked !== undefined && asked !== picked) { fit([asked]); zoom(.4); pick(asked); }
}

FACETS.forEach(facet);
resized();
filter();
fit(order);
new ResizeObserver(resized).observe(canvas);
addEventListener("hashchange", fromAddress);
fromAddress();
