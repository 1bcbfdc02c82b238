"use strict";
// The URL fragment sets the order: #sort=file, or #sort=-file for descending. Each heading links to its order.
function sortTable() {
  const [, minus, name] = /^#sort=(-?)(\w+)$/.exec(location.hash) ?? [];
  const headings = [...document.querySelectorAll("th")];
  const column = headings.findIndex((heading) => heading.dataset.name === name);
  if (column < 0) return;
  const words = new Intl.Collator("en", { numeric: true });
  const numbers = headings[column].className === "number";
  const key = (row) => row.cells[column].dataset.key;
  const compare = (a, b) => (numbers ? a - b : words.compare(a, b)) * (minus ? -1 : 1);
  const body = document.querySelector("tbody");
  // Rows without a value come last in both orders.
  const rows = [...body.rows].sort((a, b) => (key(a) === "") - (key(b) === "") || compare(key(a), key(b)));
  for (const row of rows) body.append(row);
  for (const heading of headings) heading.removeAttribute("aria-sort");
  headings[column].setAttribute("aria-sort", minus ? "descending" : "ascending");
  headings[column].querySelector("a").setAttribute("href", `#sort=${minus ? "" : "-"}${name}`);
}
addEventListener("hashchange", sortTable);
sortTable();
