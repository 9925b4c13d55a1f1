"use strict";
// The list of SCIO's decisions: filtered by key, decision and words, in one of three orders, a page at a time.

const PAGE = 50, DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const TAKEN = 3;  // the number of this decision
let found = [], at = 0;

function element(kind, text = "", className = "", inside = []) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  made.append(...(text === "" ? [] : [text]), ...inside);
  return made;
}
const digits = (value) => Number(value.toPrecision(3)).toLocaleString("en", {maximumFractionDigits: 4});
const words = (row) => (row.w ??= `${DATA.ids[row.i]} ${row.t} ${row.n ?? ""}`.toLowerCase());

function choose(id, names, used) {
  names.forEach((name, n) => { if (used.has(n)) $(id).append(Object.assign(element("option", name), {value: n})); });
}
function search() {
  const key = $("key").value, decision = $("decision").value, typed = $("words").value.trim().toLowerCase();
  found = DATA.rows.filter((row) => (key === "" || row.k === +key) && (decision === "" || row.d === +decision) && (!typed || words(row).includes(typed)));
  const orders = {score: (a, b) => b.s - a.s, least: (a, b) => a.s - b.s, image: (a, b) => a.i - b.i || a.k - b.k};
  found.sort(orders[$("order").value]);
  at = 0;
  show();
}
function picture(row) {
  const code = DATA.pictures[row.i];
  if (!code) return element("div", "not among the images on this page", "none");
  return Object.assign(element("img"), {src: `data:image/png;base64,${code}`, alt: `The image ${DATA.ids[row.i]}`, loading: "lazy"});
}
function told(row) {
  if (row.n === undefined) return [element("p", row.t)];
  const taken = row.d === TAKEN;
  return [element("p", "", "", [element(taken ? "del" : "span", row.t)]),
          element("p", "", taken ? "" : "refused", [taken ? element("ins", row.n) : `not taken: ${row.n}`])];
}
function values(row) {
  const lines = [["noise score", digits(row.s)], ...Object.entries(row.m).map(([name, value]) => [name, digits(value)]),
                 ...Object.entries(row.c ?? {}).map(([name, [before, after]]) => [`${name}, rewritten`, `${digits(before)} → ${digits(after)}`])];
  return element("table", "", "", [element("tbody", "", "", lines.map(([name, value]) => element("tr", "", "", [element("th", name), element("td", value, "n")])))]);
}
function line(row) {
  const head = element("div", "", "head", [element("span", DATA.decisions[row.d], "badge"), element("span", DATA.keys[row.k], "key")]);
  return element("div", "", `row d${row.d}`, [
    element("figure", "", "", [picture(row), element("figcaption", DATA.ids[row.i])]),
    element("div", "", "", [head, ...told(row)]), element("div", "", "values", [values(row)])]);
}
function show() {
  $("rows").replaceChildren(...found.slice(at, at + PAGE).map(line));
  const last = Math.min(at + PAGE, found.length);
  for (const bar of document.querySelectorAll(".pages")) {
    bar.hidden = false;
    bar.querySelector(".where").textContent = found.length ? `${at + 1} to ${last} of ${found.length.toLocaleString("en")}` : "nothing like this on the page";
    bar.querySelector(".before").disabled = at === 0;
    bar.querySelector(".next").disabled = last >= found.length;
  }
}
function turn(by) {
  at = Math.max(at + by * PAGE, 0);
  show();
  $("tools").scrollIntoView();
}

choose("key", DATA.keys, new Set(DATA.rows.map((row) => row.k)));
choose("decision", DATA.decisions, new Set(DATA.rows.map((row) => row.d)));
for (const id of ["key", "decision", "order"]) $(id).addEventListener("change", search);
$("words").addEventListener("input", search);
for (const bar of document.querySelectorAll(".pages")) {
  bar.querySelector(".before").addEventListener("click", () => turn(-1));
  bar.querySelector(".next").addEventListener("click", () => turn(1));
}
$("tools").hidden = false;
search();
