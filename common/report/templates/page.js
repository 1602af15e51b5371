// What report and compare do in a browser: language, sorting, pictures in full size, sliders. Everything is there and readable without it.
"use strict";
const page = document.documentElement;

// ---- language: ?lang=zh or #zh in the address, else as left in this tab, else the browser's ----
function askedLanguage() {
  const hash = location.hash.slice(1), asked = new URLSearchParams(location.search).get("lang") || hash;
  return [asked, window.name.replace("language-", "")].find(word => word === "en" || word === "zh");
}

function show(language) {
  page.lang = page.dataset.language = language;
  window.name = "language-" + language;              // outlives a reload, also of a file, where storage may be forbidden
  for (const element of document.querySelectorAll("[data-spoken]")) element.setAttribute(element.dataset.spoken, element.dataset[language]);
  const button = document.getElementById("language");
  if (button) [button.textContent, button.lang] = language === "en" ? ["中文", "zh"] : ["English", "en"];
}

function startLanguage() {
  const own = (navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en";
  show(askedLanguage() || own);
  document.getElementById("language").addEventListener("click", () => show(page.dataset.language === "en" ? "zh" : "en"));
  addEventListener("hashchange", () => { if (/^#(en|zh)$/.test(location.hash)) show(location.hash.slice(1)); });
}

// ---- tables ----
function sortBy(heading) {
  const table = heading.closest("table"), body = table.tBodies[0], column = heading.cellIndex;
  const down = heading.getAttribute("aria-sort") === "ascending";
  const keyed = [...body.rows].map(row => [key(row.cells[column]), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);          // what is not there stays below
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
    return down ? -order : order;
  });
  for (const [, row] of keyed) body.append(row);
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
}

function key(cell) {                                   // a number, also with a unit, as such; else the text; null where it is empty
  const text = cell ? cell.innerText.trim() : "";
  if (text === "" || text === "–") return null;
  if (/^[-+]?inf$/.test(text)) return text[0] === "-" ? -Infinity : Infinity;
  const number = /^([-+−]?[\d,]*\.?\d+(e[-+]?\d+)?)( ?[^\d\s]{1,8})?$/i.exec(text);
  return number ? parseFloat(number[1].replace("−", "-").replaceAll(",", "")) : text;
}

function reachable() {                                 // a table that is wider than the page can be scrolled by keyboard
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; else box.removeAttribute("tabindex");
  }
}

// ---- pictures ----
function enlarge(button) {
  const dialog = document.createElement("dialog"), image = button.querySelector("img").cloneNode(), text = document.createElement("p");
  const caption = button.closest("figure")?.querySelector("figcaption"), close = document.createElement("button");
  if (caption) text.append(...caption.cloneNode(true).childNodes);
  close.type = "button";
  close.textContent = page.dataset.language === "zh" ? "关闭" : "Close";
  dialog.setAttribute("aria-label", image.alt);
  dialog.append(image, text, close);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { dialog.remove(); button.focus(); });
  document.body.append(dialog);
  dialog.showModal();
}

function move(input) {
  input.parentNode.style.setProperty("--at", input.value + "%");
}

if ("bilingual" in page.dataset) page.dataset.language = askedLanguage() || "en";           // before the first line is drawn
document.addEventListener("DOMContentLoaded", () => {
  if ("bilingual" in page.dataset) startLanguage();
  for (const button of document.querySelectorAll(".sortable thead button")) button.addEventListener("click", () => sortBy(button.parentNode));
  for (const button of document.querySelectorAll(".zoom")) button.addEventListener("click", () => enlarge(button));
  for (const input of document.querySelectorAll(".slider input")) { input.addEventListener("input", () => move(input)); move(input); }
  reachable();
  addEventListener("resize", reachable);
});
