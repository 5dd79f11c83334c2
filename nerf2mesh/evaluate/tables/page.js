// Tables that sort by the clicked column, and turntables that all show the same angle.
"use strict";
const valueOf = (row, column) => {
  const text = row.cells[column].textContent.trim(), number = parseFloat(text.replace("\u2212", "-"));
  return Number.isNaN(number) ? (text === "-" ? null : text) : number;
};
const compare = (a, b) => {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
};
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const rows = [...body.rows].map(row => [valueOf(row, column), row]);
      rows.sort((one, two) => {
        const missing = one[0] === null || two[0] === null;
        return compare(one[0], two[0]) * (falls && !missing ? -1 : 1);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
const turns = [...document.querySelectorAll(".turn")], slider = document.getElementById("angle");
if (slider && turns.length) {
  const turning = document.getElementById("turning"), frames = Number(slider.max) + 1;
  const show = () => {
    for (const turn of turns) turn.style.backgroundPositionX = `${-128 * slider.value}px`;
    document.getElementById("degrees").textContent = `${Math.round(360 / frames * slider.value)}\u00b0`;
  };
  slider.addEventListener("input", () => { turning.checked = false; show(); });
  turning.checked = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  setInterval(() => {
    if (!turning.checked || document.hidden) return;
    slider.value = (Number(slider.value) + 1) % frames;
    show();
  }, 350);
  show();
}
