(() => {
  "use strict";
  const all = (root, selector) => Array.from(root.querySelectorAll(selector));
  const press = (group, chosen) => group.forEach((b) => b.setAttribute("aria-pressed", String(b === chosen)));

  // Tasks
  const tabs = all(document, "[role=tab]");
  const show = (tab, remember) => {
    tabs.forEach((other) => {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
    });
    if (remember) history.replaceState(null, "", "#" + tab.id.slice(4));
  };
  tabs.forEach((tab, n) => {
    tab.addEventListener("click", () => show(tab, true));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(n + step + tabs.length) % tabs.length];
      show(next, true);
      next.focus();
    });
  });
  const addressed = () => tabs.find((t) => "#" + t.id.slice(4) === location.hash);
  if (tabs.length) show(addressed() || tabs[0], false);
  window.addEventListener("hashchange", () => addressed() && show(addressed(), false));

  // Tables
  const compare = (kind, a, b) => (kind === "text" ? a.localeCompare(b, "en", { numeric: true }) : Number(a) - Number(b));
  const sortBy = (table, head, descending) => {
    const button = head.querySelector("button");
    const kind = button.dataset.kind;
    const at = Array.from(head.parentNode.children).indexOf(head);
    const value = (row) => {
      if (kind === "place") return row.dataset.place;
      if (at === 0) return row.cells[0].textContent;
      const fromEnd = head.parentNode.children.length - at;
      const cell = kind === "text" ? row.cells[row.cells.length - fromEnd] : row.classList.contains("done") ? row.cells[at] : null;
      if (!cell) return "";
      return cell.dataset.sort ?? (cell.firstChild ? cell.firstChild.textContent : ""); // a number that sorts as it reads
    };
    all(table.tHead, "th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = Array.from(table.tBodies[0].rows);
    rows.sort((a, b) => {
      const x = value(a);
      const y = value(b);
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
      const order = x === "" ? 0 : (descending ? -1 : 1) * compare(kind, x, y);
      return order || Number(a.dataset.place) - Number(b.dataset.place);
    });
    table.tBodies[0].append(...rows);
    gaps(table, kind === "place");
  };
  const gaps = (table, wanted) => {
    let last = null;
    Array.from(table.tBodies[0].rows).forEach((row) => {
      const shown = !row.hidden;
      row.classList.toggle("gap", wanted && shown && last !== null && last !== row.dataset.regime);
      if (shown) last = row.dataset.regime;
    });
  };
  all(document, ".board").forEach((board) => {
    const tables = all(board, "table.scores");
    const filter = () => {
      const words = board.querySelector(".filter").value.toLowerCase().split(/\s+/).filter(Boolean);
      const regimes = new Set(all(board, ".chips input:checked").map((box) => box.value));
      tables.forEach((table) => {
        Array.from(table.tBodies[0].rows).forEach((row) => {
          const text = row.textContent.toLowerCase();
          row.hidden = !regimes.has(row.dataset.regime) || !words.every((word) => text.includes(word));
        });
        const sorted = table.tHead.querySelector("th[aria-sort] button");
        gaps(table, Boolean(sorted) && sorted.dataset.kind === "place");
      });
    };
    board.querySelector(".filter").addEventListener("input", filter);
    all(board, ".chips input").forEach((box) => box.addEventListener("change", filter));
    const more = board.querySelector(".more");
    if (more) more.addEventListener("change", () => tables.forEach((table) => table.classList.toggle("with-more", more.checked)));
    const ranges = all(board, ".ranges button");
    const choose = (button) => {
      press(ranges, button);
      all(board, ".range").forEach((part) => (part.hidden = part.dataset.range !== button.dataset.range));
    };
    ranges.forEach((button) => button.addEventListener("click", () => choose(button)));
    if (ranges.length) choose(ranges[0]);
    tables.forEach((table) => {
      gaps(table, true);
      all(table.tHead, "th button").forEach((button) => {
        button.addEventListener("click", () => {
          const head = button.closest("th");
          const before = head.getAttribute("aria-sort");
          const best = button.dataset.better === "high";
          sortBy(table, head, before ? before === "ascending" : best);
        });
      });
    });
  });

  // Scale bars: the same rule as in the page, 1, 2 or 5 times a power of ten, at most a third of what is seen.
  const lengthText = (nm) => (nm >= 1000 ? Number((nm / 1000).toPrecision(4)) + " µm" : Number(nm.toPrecision(4)) + " nm");
  const scaleBar = (bar, nm, zoom) => {
    const seen = nm / zoom;
    const power = 10 ** Math.floor(Math.log10(seen / 3));
    const length = [5, 2, 1].map((step) => step * power).find((l) => l <= seen / 3);
    bar.style.width = (100 * length) / seen + "%";
    bar.firstElementChild.textContent = lengthText(length);
  };

  // Sections: every picture of a task shows the same place at the same magnification.
  all(document, ".viewer").forEach((viewer) => {
    const planes = all(viewer, ".plane");
    const buttons = all(viewer, ".planes button");
    const zooms = all(viewer, ".zooms button");
    const view = { zoom: 1, x: 0.5, y: 0.5 };
    const apply = () => {
      const half = 0.5 / view.zoom;
      view.x = Math.min(1 - half, Math.max(half, view.x));
      view.y = Math.min(1 - half, Math.max(half, view.y));
      viewer.style.setProperty("--zoom", view.zoom);
      viewer.style.setProperty("--tx", (0.5 - view.x * view.zoom) * 100 + "%");
      viewer.style.setProperty("--ty", (0.5 - view.y * view.zoom) * 100 + "%");
      viewer.classList.toggle("zoomed", view.zoom > 1);
      planes.forEach((plane) => plane.dataset.nm && all(plane, ".scalebar").forEach((bar) => scaleBar(bar, Number(plane.dataset.nm), view.zoom)));
    };
    const choose = (name) => {
      press(buttons, buttons.find((b) => b.dataset.plane === name));
      planes.forEach((plane) => (plane.hidden = plane.dataset.plane !== name));
    };
    buttons.forEach((button) => button.addEventListener("click", () => choose(button.dataset.plane)));
    zooms.forEach((button) =>
      button.addEventListener("click", () => {
        view.zoom = Number(button.dataset.zoom);
        press(zooms, button);
        apply();
      }),
    );
    const names = planes.map((plane) => plane.dataset.plane);
    choose(names.includes("xz") ? "xz" : names[0]);
    all(viewer, ".picture").forEach((picture) => {
      let start = null;
      let moved = false;
      picture.addEventListener("pointerdown", (event) => {
        start = { px: event.clientX, py: event.clientY, x: view.x, y: view.y };
        moved = false;
        if (view.zoom > 1) picture.setPointerCapture(event.pointerId);
      });
      picture.addEventListener("pointermove", (event) => {
        if (!start || view.zoom === 1) return;
        const dx = event.clientX - start.px;
        const dy = event.clientY - start.py;
        if (Math.abs(dx) + Math.abs(dy) > 4) moved = true;
        view.x = start.x - dx / picture.clientWidth / view.zoom;
        view.y = start.y - dy / picture.clientHeight / view.zoom;
        apply();
      });
      ["pointerup", "pointercancel"].forEach((name) => picture.addEventListener(name, () => (start = null)));
      picture.addEventListener("click", () => moved || openDialog(viewer, picture));
    });
  });

  // Sections through the volume: one position for all pictures.
  all(document, ".depth").forEach((depth) => {
    const data = JSON.parse(depth.querySelector("script").textContent);
    const slider = depth.querySelector(".at");
    const of = depth.querySelector(".of");
    const along = depth.querySelector(".along");
    const put = () => {
      const at = Number(slider.value);
      all(depth, ".picture img").forEach((image) => (image.src = data.frames[image.dataset.label][at]));
      depth.querySelector(".said").textContent = "section " + data.positions[at];
      slider.setAttribute("aria-valuetext", "section " + data.positions[at]);
      if (!along) return;
      along.querySelector("img").src = data.along[of.value] || Object.values(data.along)[0];
      along.querySelector("img").alt = "Plane along z of " + of.value;
      const line = along.querySelector(".zline");
      line.hidden = data.lines[at] < 0;
      line.style.top = data.lines[at] + "%";
    };
    slider.addEventListener("input", put);
    if (of) of.addEventListener("change", put);
    put();
  });

  // Exact values of cells, which the pointer finds in their titles: by touch, and by keys in a table that has the focus.
  all(document, ".board .scroll").forEach((region) => {
    const table = region.querySelector("table");
    const line = document.createElement("p");
    line.className = "tapped";
    line.setAttribute("aria-live", "polite");
    region.after(line);
    let current = null;
    const take = (cell) => {
      if (current) current.classList.remove("at-hand");
      current = cell;
      if (!cell) return (line.textContent = "");
      cell.classList.add("at-hand");
      const heads = Array.from(table.tHead.rows[table.tHead.rows.length - 1].cells);
      const head = heads[Array.from(cell.parentNode.cells).indexOf(cell)];
      const row = cell.parentNode.cells[0].textContent.trim();
      line.textContent = [row, head ? head.textContent.trim() : "", cell.title || cell.textContent.trim()].filter(Boolean).join(" · ");
    };
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("td");
      if (cell && table.tBodies[0].contains(cell)) take(cell);
    });
    region.addEventListener("keydown", (event) => {
      const by = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (!by || event.target !== region) return;
      const rows = Array.from(table.tBodies[0].rows).filter((row) => !row.hidden);
      const row = current ? rows.indexOf(current.parentNode) : -1;
      const column = current ? Array.from(current.parentNode.cells).indexOf(current) : 1;
      const next = rows[Math.min(rows.length - 1, Math.max(0, row + (current ? by[0] : 1)))];
      const shown = (cell) => cell.offsetParent !== null;
      let at = current ? column + by[1] : column;
      while (next.cells[at] && !shown(next.cells[at])) at += by[1] || 1;
      if (!next.cells[at]) return;
      take(next.cells[Math.max(1, at)]);
      current.scrollIntoView({ block: "nearest", inline: "nearest" });
      event.preventDefault();
    });
  });

  // Comparison
  const dialog = document.getElementById("compare");
  const part = (selector) => dialog.querySelector(selector);
  let plane = null;
  const pictures = () => all(plane, ".picture");
  const nameOf = (picture) => (picture.dataset.role === "error" ? "error of " : "") + picture.dataset.label;
  const cut = (percent) => {
    part(".wipe").value = percent;
    part(".sheet").style.setProperty("--cut", percent + "%");
  };
  const draw = () => {
    const [left, right] = [part(".left"), part(".right")].map((box) => pictures()[box.selectedIndex]);
    [[".under", left], [".over", right]].forEach(([selector, picture]) => {
      part(selector).src = picture.firstElementChild.src;
      part(selector).alt = picture.firstElementChild.alt;
    });
    const zoom = Number(part(".zoom").value);
    const wide = Number(plane.dataset.columns) * zoom;
    part(".sheet").style.width = wide + "px";
    part(".sheet").style.height = (wide * Number(plane.dataset.height)) / Number(plane.dataset.width) + "px";
    let bar = part(".sheet .scalebar");
    if (bar) bar.remove();
    if (plane.dataset.nm) {
      bar = plane.querySelector(".scalebar").cloneNode(true);
      part(".sheet").append(bar);
      scaleBar(bar, Number(plane.dataset.nm), 1);
    }
    part(".what").textContent = plane.querySelector(".where strong").textContent + ". Left: " + nameOf(left) + ", right: " + nameOf(right) + ".";
  };
  const fill = (rightName) => {
    ["left", "right"].forEach((side) => {
      part("." + side).replaceChildren(...pictures().map((picture) => new Option(nameOf(picture))));
    });
    part(".left").selectedIndex = 0;
    part(".right").selectedIndex = Math.max(0, pictures().findIndex((picture) => nameOf(picture) === rightName));
    if (part(".right").selectedIndex === 0 && pictures().length > 1) part(".right").selectedIndex = 1;
  };
  const openDialog = (viewer, picture) => {
    plane = picture.closest(".plane");
    const group = part(".seg");
    group.replaceChildren(
      ...all(viewer, ".plane").map((other) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = other.dataset.plane;
        button.setAttribute("aria-pressed", String(other === plane));
        button.addEventListener("click", () => {
          const name = nameOf(pictures()[part(".right").selectedIndex]);
          plane = other;
          press(all(group, "button"), button);
          fill(name);
          draw();
        });
        return button;
      }),
    );
    fill(nameOf(picture));
    const fit = Math.min((window.innerWidth * 0.96 - 60) / plane.dataset.columns, (window.innerHeight * 0.68) / plane.dataset.rows);
    const options = Array.from(part(".zoom").options);
    part(".zoom").selectedIndex = Math.max(0, options.filter((option) => Number(option.value) <= fit).length - 1);
    cut(50);
    draw();
    dialog.showModal();
    part(".stage").focus();
  };
  const hold = (on) => part(".stage").classList.toggle("held", on);
  const step = (box, by) => {
    box.selectedIndex = Math.min(box.options.length - 1, Math.max(0, box.selectedIndex + by));
    draw();
  };
  [".left", ".right", ".zoom"].forEach((selector) => part(selector).addEventListener("change", draw));
  part(".wipe").addEventListener("input", (event) => cut(event.target.value));
  part(".sheet").addEventListener("pointermove", (event) => {
    const box = part(".sheet").getBoundingClientRect();
    cut(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
  });
  part(".sheet").addEventListener("pointerdown", (event) => event.pointerType === "mouse" && hold(true));
  ["pointerup", "pointercancel", "blur"].forEach((name) => window.addEventListener(name, () => hold(false)));
  part(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => hold(false));
  dialog.addEventListener("keydown", (event) => {
    const key = event.key;
    if (event.target.matches("select, input, button") && key !== "+" && key !== "-") return;
    if (key === " ") hold(true);
    else if (key === "ArrowRight" || key === "ArrowLeft") step(part(".right"), key === "ArrowRight" ? 1 : -1);
    else if (key === "+" || key === "-") step(part(".zoom"), key === "+" ? 1 : -1);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("keyup", (event) => event.key === " " && hold(false));

  // Curves
  all(document, ".hover").forEach((box) => {
    const chart = box.querySelector("svg");
    const tip = box.querySelector(".tip");
    const cursor = chart.querySelector(".cursor");
    const curves = JSON.parse(box.querySelector("script").textContent);
    const [left, right] = chart.dataset.box.split(" ").map(Number);
    const [low, high] = chart.dataset.range.split(" ").map(Number);
    const nearest = (curve, at) => {
      let best = 0;
      curve.f.forEach((f, n) => (best = Math.abs(f - at) < Math.abs(curve.f[best] - at) ? n : best));
      return curve.v[best];
    };
    const hide = () => {
      tip.hidden = true;
      cursor.setAttribute("visibility", "hidden");
    };
    chart.addEventListener("pointerleave", hide);
    const follow = (event) => {
      const bounds = chart.getBoundingClientRect();
      const x = ((event.clientX - bounds.left) / bounds.width) * chart.viewBox.baseVal.width;
      if (x < left || x > right) return hide();
      const at = low + ((high - low) * (x - left)) / (right - left);
      const values = curves.map((curve) => ({ label: curve.label, v: nearest(curve, at) })).sort((a, b) => (b.v ?? -2) - (a.v ?? -2));
      const lines = values.map((value) => (value.v === null ? "–" : value.v.toFixed(2)).padStart(5) + "  " + value.label);
      const axis = chart.dataset.axis;
      const where = axis ? axis + " = " + Math.round(at) : at.toPrecision(3) + " / nm = " + (1 / at).toPrecision(3) + " nm";
      tip.textContent = [where, ...lines].join("\n");
      tip.hidden = false;
      const px = event.clientX - bounds.left;
      tip.style.left = px > bounds.width / 2 ? "auto" : px + 14 + "px";
      tip.style.right = px > bounds.width / 2 ? bounds.width - px + 14 + "px" : "auto";
      cursor.setAttribute("visibility", "visible");
      cursor.setAttribute("transform", "translate(" + x + " 0)");
    };
    ["pointermove", "pointerdown"].forEach((name) => chart.addEventListener(name, follow)); // a finger has no hover
  });
})();
