"use strict";
// Sorts, filters, shows the details of a target. Without it the table stands as it is.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("targets");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const shown = document.getElementById("shown");
  const filter = document.getElementById("filter");
  const state = document.getElementById("state");
  const place = new Map(rows.map((row, index) => [row, index]));
  const number = new Intl.NumberFormat("en");
  let order = rows;

  // ---- Details, in a row of their own.
  let open = null;
  const close = () => {
    if (open) {
      open.details.remove();
      open.link.setAttribute("aria-expanded", "false");
    }
    open = null;
  };
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const shape = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  };
  const decode = (sign) => (sign === " " ? null : parseInt(sign, 36) / 35);
  // Bars for the RTTs, and losses from above.
  const picture = (series, most) => {
    const svg = shape("svg", { viewBox: "0 0 760 96", role: "img", "aria-label": "RTT and losses over time" });
    const width = 700 / series[0].length;
    if (most) {
      svg.append(shape("text", { x: 4, y: 14 }, most));
      svg.append(shape("text", { x: 4, y: 80 }, "0"));
    }
    for (let index = 0; index < series[0].length; index++) {
      const rtt = decode(series[0][index]);
      const loss = decode(series[1][index]);
      const x = 60 + index * width;
      if (rtt !== null) {
        const height = Math.max(1, rtt * 76);
        svg.append(shape("rect", { x, y: 80 - height, width: width * 0.85, height, fill: "var(--grey)" }));
      }
      if (loss) {
        const height = Math.max(4, loss * 76);
        svg.append(shape("rect", { x, y: 4, width: width * 0.85, height, fill: `var(--l${series[2][index]})` }));
      }
    }
    svg.append(shape("path", { d: "M60 80.5H760", stroke: "var(--dim)" }));
    svg.append(shape("text", { x: 60, y: 93 }, data.since));
    return svg;
  };
  const toggle = (row) => {
    const link = row.cells[0].firstElementChild;
    const same = open && open.row === row;
    close();
    if (same) return;
    const detail = data.details[place.get(row)];
    const cell = element("td", "", { colspan: heads.length });
    const place_of = (wanted) => data.columns.findIndex((column) => column.name === wanted);
    const names = ["target", "label", "run"].map(place_of).filter((column) => column >= 0);
    cell.append(element("h2", names.map((column) => row.cells[column].textContent).join(" ")));
    if (detail.series) cell.append(picture(detail.series, detail.most));
    const list = element("dl");
    const add = (key, value) => {
      if (!value) return;
      const pair = element("div");
      pair.append(element("dt", key), element("dd", value));
      list.append(pair);
    };
    heads.forEach((head, column) => {
      const { sorts, unit } = data.columns[column];
      const text = row.cells[column].textContent;
      if (sorts && !names.includes(column)) add(head.textContent, text && unit === 1e6 ? `${text} ms` : text);
    });
    data.keys.forEach((key, index) => add(key, detail.values[index]));
    cell.append(list);
    const details = element("tr", "", { class: "details" });
    details.append(cell);
    row.after(details);
    link.setAttribute("aria-expanded", "true");
    open = { row, details, link };
  };
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!row || !place.has(row) || String(getSelection())) return;
    if (event.target.closest("a")) event.preventDefault();
    toggle(row);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open) {
      open.link.focus();
      close();
    }
  });

  // ---- Sorting by the figures, not by their text. What has no figure comes last.
  const text = new Intl.Collator("en", { numeric: true });
  const sort = (column) => {
    const head = heads[column];
    const { values } = data.columns[column];
    const down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : Boolean(values);
    const value = (row) => (values ? values[place.get(row)] : row.cells[column].textContent || null);
    const compare = values ? (one, other) => one - other : text.compare;
    const sign = down ? -1 : 1;
    order = [...order].sort((a, b) => {
      const one = value(a);
      const other = value(b);
      if (one === null || other === null) return (one === null) - (other === null);
      return sign * compare(one, other);
    });
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    close();
    body.replaceChildren(...order);
  };
  heads.forEach((head, column) => {
    if (!data.columns[column].sorts) return;
    const button = element("button", head.textContent, { type: "button" });
    button.addEventListener("click", () => sort(column));
    head.replaceChildren(button);
  });

  // ---- Filtering.
  let all_words = null;
  const words = (index) => {
    const texts = data.columns.flatMap((column, place) => (column.sorts && !column.values ? [place] : []));
    const of = (row) => texts.map((column) => row.cells[column].textContent).join(" ").toLowerCase();
    all_words ??= rows.map(of);
    return all_words[index];
  };
  const comparison = /^([a-z0-9.]+)(<=|>=|<|>|=)([0-9.]+)$/;
  const test = {
    "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
  };
  const condition = (word) => {
    const parts = comparison.exec(word);
    const column = parts ? data.columns.findIndex((other) => other.name === parts[1]) : -1;
    if (column >= 0 && data.columns[column].values) {
      const { unit, values } = data.columns[column];
      const value = Number(parts[3]) * unit;
      return (index) => values[index] !== null && test[parts[2]](values[index], value);
    }
    return (index) => words(index).includes(word);
  };
  const apply = () => {
    const conditions = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map(condition);
    let number_shown = 0;
    close();
    rows.forEach((row, index) => {
      const is = (!state.value || data.states[index] === state.value) && conditions.every((holds) => holds(index));
      if (row.hidden === is) row.hidden = !is;
      number_shown += is;
    });
    shown.textContent = `${number.format(number_shown)} of ${number.format(rows.length)} shown`;
  };
  filter.addEventListener("input", apply);
  state.addEventListener("change", apply);
  document.getElementById("search").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("search").hidden = false;
  shown.textContent = `${number.format(rows.length)} of ${number.format(rows.length)} shown`;

  // ---- Dark or light.
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // A link to a target opens it.
  const linked = location.hash && document.getElementById(location.hash.slice(1));
  if (linked && place.has(linked.closest("tr"))) toggle(linked.closest("tr"));
})();
