(() => {
  "use strict";
  const all = (root, selector) => Array.from(root.querySelectorAll(selector));

  // Boards: words and facts that are chosen; the address keeps them, so that a choice can be sent to somebody.
  all(document, ".boards").forEach((boards) => {
    const words = boards.querySelector(".words");
    const facts = all(boards, "select");
    const rows = all(boards, "tbody tr");
    const filter = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        const fits = facts.every((box) => !box.value || (row.dataset[box.dataset.fact] || "").split(" ").includes(box.value));
        row.hidden = !fits || !wanted.every((word) => text.includes(word));
      });
      boards.querySelector(".count").textContent = rows.filter((row) => !row.hidden).length + " of " + rows.length;
      const chosen = new URLSearchParams(facts.filter((box) => box.value).map((box) => [box.dataset.fact, box.value]));
      if (words.value) chosen.set("words", words.value);
      history.replaceState(null, "", chosen.size ? "#" + chosen : location.pathname);
    };
    const begin = new URLSearchParams(location.hash.slice(1));
    facts.forEach((box) => (box.value = begin.get(box.dataset.fact) || ""));
    facts.forEach((box) => box.selectedIndex < 0 && (box.selectedIndex = 0));
    words.value = begin.get("words") || "";
    words.addEventListener("input", filter);
    facts.forEach((box) => box.addEventListener("change", filter));
    filter();
  });
})();
