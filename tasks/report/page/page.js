// Sorts tables by a column. Without this script the tables are whole and in their own order.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, heads, column));
  });
}

function sort(table, heads, column) {
  const numeric = heads[column].classList.contains("number");
  const first = numeric ? "descending" : "ascending";
  const second = numeric ? "ascending" : "descending";
  const order = heads[column].getAttribute("aria-sort") === first ? second : first;
  const sign = order === "ascending" ? 1 : -1;
  const key = (row) => row.cells[column].dataset.key ?? (numeric ? undefined : row.cells[column].textContent);
  const compare = (one, other) => (numeric ? one - other : one.localeCompare(other));
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  // What has no value comes last in both orders.
  rows.sort(([one], [other]) =>
    one === undefined || other === undefined
      ? (one === undefined) - (other === undefined)
      : sign * compare(one, other),
  );
  table.tBodies[0].append(...rows.map(([, row]) => row));
  heads.forEach((head, index) =>
    index === column ? head.setAttribute("aria-sort", order) : head.removeAttribute("aria-sort"),
  );
}
