"use strict";
// Shows the data block of this page: a list of bodies that open on demand, or the rows that fit what is typed.
(() => {
  const STEP = 200; // rows put on the page at a time
  const data = JSON.parse(document.getElementById("du-lieu").textContent);
  const input = document.getElementById("tim");
  const list = document.getElementById("nhom");
  const status = document.getElementById("ket-qua");
  const more = document.getElementById("them");
  const nameAt = data.columns.indexOf("full_name");
  const addressAt = data.columns.indexOf("address");
  const phoneAt = data.columns.indexOf("phone");
  const count = new Intl.NumberFormat("vi-VN");

  // Every row once, in the order of the page: its group, its cells, whether it is the organisation's own mailbox.
  const rows = [];
  data.groups.forEach(([, own, people], group) => {
    if (own) rows.push({ group, cells: own, own: true });
    for (const cells of people) rows.push({ group, cells, own: false });
  });

  // --- text ---
  // Both spellings of the tone mark (hòa, hoà; thủy, thuỷ) are one.
  const TONED = { ò: "o", ó: "o", ỏ: "o", õ: "o", ọ: "o", ù: "u", ú: "u", ủ: "u", ũ: "u", ụ: "u" };
  const marked = (text) => text.normalize("NFC").toLowerCase().replace(/([òóỏõọ])([ae])|([ùúủũụ])(y)/g, (_all, o, ae, u, y) => {
    const tone = (o || u).normalize("NFD").slice(1);
    return TONED[o || u] + ((ae || y) + tone).normalize("NFC");
  });
  const plain = (text) => text.normalize("NFD").toLowerCase().replace(/\p{M}+/gu, "").replace(/[đð]/g, "d");
  const haystack = (form) => {
    let made;
    return () => {
      if (!made) {
        const paths = data.groups.map(([path]) => form(path.join(" ")));
        made = rows.map((row) => `${form(row.cells.join(" "))} ${paths[row.group]}`);
      }
      return made;
    };
  };
  const plainRows = haystack(plain);
  const markedRows = haystack(marked);

  // Rows that hold every word. With diacritics typed, rows written that way come before any others: only they are shown.
  const search = (query) => {
    const matches = (form, all) => {
      const words = form(query).split(/\s+/).filter(Boolean);
      return rows.filter((_row, at) => words.every((word) => all[at].includes(word)));
    };
    const exact = marked(query) !== plain(query) ? matches(marked, markedRows()) : [];
    return exact.length ? exact : matches(plain, plainRows());
  };

  // --- elements ---
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const cell = (row, at) => {
    const value = row.cells[at];
    const made = element(at === nameAt ? "th" : "td", "", at === nameAt ? { scope: "row" } : { "data-label": data.labels[at] });
    if (!value) made.className = "empty";
    else if (at === addressAt) {
      made.className = "address";
      made.append(element("a", value, { href: `mailto:${encodeURIComponent(value).replace("%40", "@")}` }));
    } else if (at === phoneAt && /^[+\d][\d .()-]+$/.test(value)) {
      made.append(element("a", value, { href: `tel:${value.replace(/[^+\d]/g, "")}` }));
    } else made.textContent = value;
    if (at === nameAt && row.own) made.append(" ", element("span", "Hộp thư cơ quan", { class: "tag" }));
    return made;
  };
  const line = (row) => {
    const made = element("tr", "", row.own ? { class: "own" } : {});
    row.cells.forEach((_value, at) => made.append(cell(row, at)));
    return made;
  };
  const section = (group) => {
    const made = element("section");
    const [path] = data.groups[group];
    if (path.length) {
      const title = element("h2", path[path.length - 1]);
      if (path.length > 1) title.append(element("span", path.slice(0, -1).reverse().join(", ")));
      made.append(title);
    }
    const table = element("table");
    const head = element("tr");
    data.labels.forEach((label, at) => head.append(element("th", label, { scope: "col", class: data.columns[at] })));
    const top = element("thead");
    top.append(head);
    table.append(top, element("tbody"));
    made.append(table);
    return made;
  };

  // Puts the next STEP rows into `place`; what is left is offered by `button`.
  const filler = (place, found, button) => {
    let at = 0;
    let open = null;
    let body = null;
    const next = () => {
      const first = at;
      const made = document.createDocumentFragment();
      for (const row of found.slice(at, at + STEP)) {
        if (row.group !== open) {
          open = row.group;
          const part = section(open);
          body = part.querySelector("tbody");
          made.append(part);
        }
        body.append(line(row));
      }
      at += STEP;
      place.append(made);
      const left = found.length - at;
      button.hidden = left <= 0;
      button.textContent = `Hiện thêm ${count.format(Math.min(STEP, left))} trong ${count.format(left)} mục còn lại`;
      return place.querySelectorAll("tbody tr")[first];
    };
    // The button may go: the focus goes to the first new row's name.
    button.onclick = () => {
      const target = next()?.querySelector("th, td");
      target?.setAttribute("tabindex", "-1");
      target?.focus();
    };
    next();
  };

  // --- the two views ---
  const browse = () => {
    const bodies = [];
    for (const row of rows) {
      const body = data.groups[row.group][3];
      bodies[body] ??= { name: data.bodies[body], found: [] };
      bodies[body].found.push(row);
    }
    if (rows.length <= STEP || bodies.length === 1) {
      filler(list, rows, more);
      return;
    }
    more.hidden = true;
    for (const { name, found } of bodies) {
      const made = element("details");
      const title = element("summary", `${name} `);
      title.append(element("span", `(${count.format(found.length)})`, { class: "count" }));
      made.append(title);
      made.addEventListener("toggle", () => {
        const button = element("button", "", { type: "button" });
        const place = element("div");
        made.append(place, button);
        filler(place, found, button);
      }, { once: true });
      list.append(made);
    }
  };
  const show = () => {
    const query = input.value.trim();
    list.replaceChildren();
    status.textContent = "";
    if (query) {
      const found = search(query);
      const own = found.filter((row) => row.own).length;
      const parts = [[own, "hộp thư cơ quan"], [found.length - own, "cá nhân"]].filter(([many]) => many);
      status.textContent = parts.length
        ? `Tìm thấy ${parts.map(([many, what]) => `${count.format(many)} ${what}`).join(", ")}.`
        : "Không tìm thấy. Thử ít chữ hơn, hoặc gõ không dấu.";
      filler(list, found, more);
    } else browse();
  };
  // The address of the page holds the words looked for, so that a search can be kept or passed on.
  const remember = () => {
    const query = input.value.trim();
    history.replaceState(null, "", query ? `#${new URLSearchParams({ tim: query })}` : location.pathname + location.search);
  };

  // --- keys ---
  let waiting = false;
  input.addEventListener("input", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      show();
    });
  });
  input.addEventListener("change", remember);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== input && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      input.select();
    } else if (event.key === "Escape" && input.value) {
      input.value = "";
      show();
      remember();
      input.focus();
    }
  });
  document.querySelector(".find").hidden = false;
  input.value = new URLSearchParams(location.hash.slice(1)).get("tim") ?? "";
  show();
})();
