// Lets readers sort tables. Without this script the page is whole, and tables keep their own order.
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

// What scrolls sideways must be within reach of the keyboard; what does not would only be in its way.
const boxes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const scrolls = target.scrollWidth > target.clientWidth;
    const attributes = { tabindex: "0", role: "region", "aria-label": target.dataset.label };
    for (const [name, value] of Object.entries(attributes)) {
      scrolls ? target.setAttribute(name, value) : target.removeAttribute(name);
    }
    markEnd(target);
  }
});
const markEnd = (box) =>
  box.classList.toggle("continues", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
for (const box of document.querySelectorAll(".scroll")) {
  boxes.observe(box);
  box.addEventListener("scroll", () => markEnd(box), { passive: true });
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
