// The tables: DataTables on the data in this page. The component is a module, which a page that
// was opened as a file can only import from itself.
const source = document.getElementById("component").textContent;
const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
const { default: DataTable } = await import(address);
URL.revokeObjectURL(address);

const tables = JSON.parse(document.getElementById("data").textContent);
const NOTHING = "–";

// Words by their characters, numbers by their values, and what is not there at the end both ways.
function compared(one, other, way) {
  if (one === null || other === null) return (one === null) - (other === null);
  return way * ((one > other) - (one < other));
}
DataTable.ext.type.order["plain-asc"] = (one, other) => compared(one, other, 1);
DataTable.ext.type.order["plain-desc"] = (one, other) => compared(one, other, -1);

function grouped(text) {
  const [whole, part] = text.split(".");
  const some = whole.replace("-", "").length > 3 ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
  return (part === undefined ? some : `${some}.${part}`).replace("-", "−");
}

function significant(value, digits) {
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size > 14 || size < -8) return value.toExponential(digits - 1).replaceAll("-", "−");
  return grouped(value.toFixed(Math.max(0, digits - 1 - size)));
}

const printed = {
  text: (value) => value,
  whole: (value) => grouped(value.toFixed(0)),
  fixed: (value, digits) => grouped(value.toFixed(digits)),
  significant,
};

function escaped(text) {
  const node = document.createElement("span");
  node.textContent = text;
  return node.innerHTML;
}

function column({ name, kind, digits }) {
  const words = (value) =>
    value === null ? NOTHING : escaped(printed[kind](value, digits));
  return {
    title: escaped(name).replace(/(?<=^.{3,})_(?=.{3,})/, "_<br>"), // long ones in two lines
    type: "plain",
    className: kind === "text" ? "" : "number",
    render: (value, what) => (what === "display" || what === "filter" ? words(value) : value),
  };
}

// A list for each column of few words: all, or the rows with one of them.
function addChoices(place, table, columns) {
  columns.forEach(({ name, choices }, number) => {
    if (!choices.length) return;
    const label = document.createElement("label");
    const list = document.createElement("select");
    list.append(new Option("all", ""), ...choices.map((word) => new Option(word, word)));
    list.addEventListener("change", () => {
      const only = list.value;
      const chosen = table.column(number).search;
      chosen.fixed("choice", only ? (text, row) => row[number] === only : null);
      table.draw();
    });
    label.append(name, list);
    place.append(label);
    place.hidden = false;
  });
}

// What is wider than its box says so, for as long as something is out of sight to the right.
function hint(box, more) {
  const look = () => {
    more.hidden = box.scrollLeft + box.clientWidth >= box.scrollWidth - 8;
    box.classList.toggle("cut", !more.hidden);
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
  look();
}
for (const frame of document.querySelectorAll(".frame")) {
  hint(frame.querySelector(".scroll"), frame.querySelector(".more"));
}

for (const element of document.querySelectorAll("table[data-name]")) {
  const { columns, rows } = tables[element.dataset.name];
  const place = element.previousElementSibling;
  const table = new DataTable(element, {
    data: rows,
    columns: columns.map(column),
    order: [],
    orderDescReverse: false, // equal rows stay in the file's order
    deferRender: true,
    autoWidth: false,
    pageLength: 10,
    lengthMenu: [10, 25, 100, { label: "all", value: -1 }],
    layout: { topStart: "search", topEnd: null, bottomStart: ["info", "pageLength"], bottomEnd: "paging" },
    language: {
      search: "Search",
      info: "_START_ to _END_ of _TOTAL_ rows",
      infoEmpty: "no rows",
      infoFiltered: "of _MAX_",
      lengthMenu: "_MENU_ rows a page",
      zeroRecords: "No row has this.",
    },
  });
  addChoices(place, table, columns);
  const box = element.closest(".dt-layout-table");
  const more = document.createElement("p");
  more.className = "more";
  more.textContent = "The table is wider than this window: move it sideways.";
  box.after(more);
  hint(box, more);
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `Table ${element.dataset.name}`);
}

const contents = document.getElementById("contents");
const wide = window.matchMedia("(min-width: 64rem)");
const fit = () => { contents.open = wide.matches; };
fit();
wide.addEventListener("change", fit);
contents.addEventListener("click", (event) => {
  if (event.target.closest("a") && !wide.matches) contents.open = false;
});
document.documentElement.dataset.ready = "yes";
