// @ts-check
// A table that keeps its rows in place, changes only what changed, and sorts by any column.
import { el, get } from "./dom.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} title
 * @property {(row: Row) => string | number} value what it is sorted by
 * @property {(row: Row) => string | Node} [show] what is shown, where that differs
 * @property {string} [kind] classes of its cells: "figure", "key", "narrow-off"
 */

/**
 * @template Row
 * @param {string} id
 * @param {object} options
 * @param {Column<Row>[]} options.columns
 * @param {(row: Row) => string} options.key
 * @param {string} options.empty
 * @param {boolean} [options.sorts]
 */
export function createTable(id, { columns, key, empty, sorts = true }) {
  const table = get(id);
  /** @type {Row[]} */
  let rows = [];
  /** @type {{column: Column<Row>, down: boolean} | null} */
  let order = null;
  /** @type {Map<string, {tr: HTMLElement, shown: string[]}>} */
  const drawn = new Map();

  const heads = columns.map((column) => {
    const sort = () => {
      order = order?.column === column && order.down ? null : { column, down: order?.column === column };
      columns.forEach((each, i) => {
        if (order?.column === each) heads[i].setAttribute("aria-sort", order.down ? "descending" : "ascending");
        else heads[i].removeAttribute("aria-sort");
      });
      render(rows);
    };
    const title = sorts && column.title ? el("button", { type: "button", click: sort }, column.title) : column.title;
    return el("th", { scope: "col", class: column.kind }, title);
  });
  const body = el("tbody");
  table.replaceChildren(el("thead", {}, el("tr", {}, ...heads)), body);

  /** @param {Row[]} next */
  function render(next) {
    rows = next;
    if (rows.length === 0) {
      drawn.clear();
      body.replaceChildren(el("tr", {}, el("td", { class: "empty", colspan: String(columns.length) }, empty)));
      return;
    }
    const sorted = [...rows];
    if (order) {
      const { column, down } = order;
      sorted.sort((a, b) => {
        const x = column.value(a);
        const y = column.value(b);
        const by = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
        return down ? -by : by;
      });
    }
    const keys = new Set(sorted.map(key));
    for (const [old, { tr }] of drawn) {
      if (keys.has(old)) continue;
      tr.remove();
      drawn.delete(old);
    }
    body.querySelector(".empty")?.closest("tr")?.remove();
    sorted.forEach((row, at) => {
      let line = drawn.get(key(row));
      if (!line) {
        line = { tr: el("tr", {}, ...columns.map(({ kind }) => el("td", { class: kind }))), shown: [] };
        drawn.set(key(row), line);
      }
      columns.forEach((column, i) => {
        const content = column.show ? column.show(row) : String(column.value(row));
        const text = typeof content === "string" ? content : /** @type {Element} */ (content).outerHTML;
        if (line.shown[i] === text) return;
        line.shown[i] = text;
        line.tr.children[i].replaceChildren(content);
      });
      if (body.children[at] !== line.tr) body.insertBefore(line.tr, body.children[at] ?? null);
    });
  }

  return { render };
}
