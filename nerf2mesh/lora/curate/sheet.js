"use strict";
(() => {
  const items = [...document.querySelectorAll(".item")];
  const boxes = items.map((item) => item.querySelector("input"));
  const search = document.querySelector(".tools input");
  const count = document.querySelector(".tools .count");
  let shown = "all";

  function matches(item, box) {
    const text = search.value.trim().toLowerCase();
    const kinds = item.dataset.kinds.split("|");
    const chosen = shown === "all" || (shown === "on" && box.checked) || (shown === "off" && !box.checked) || kinds.includes(shown);
    return chosen && (!text || item.textContent.toLowerCase().includes(text));
  }

  function filter() {
    items.forEach((item, i) => { item.hidden = !matches(item, boxes[i]); });
  }

  function paint() {
    items.forEach((item, i) => {
      item.classList.toggle("off", !boxes[i].checked);
      item.classList.toggle("changed", boxes[i].checked !== boxes[i].defaultChecked);
    });
    const changed = boxes.filter((box) => box.checked !== box.defaultChecked).length;
    count.textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length} on` + (changed ? `, ${changed} changed` : "");
  }

  function ticks() {
    const on = {};
    items.forEach((item, i) => { on[item.dataset.line] = boxes[i].checked; });
    return JSON.stringify({ kind: "nerf2mesh ticks", set: document.body.querySelector("main").dataset.set, on }, null, 1) + "\n";
  }

  document.querySelectorAll(".tools [data-show]").forEach((button) => button.addEventListener("click", () => {
    shown = button.dataset.show;
    document.querySelectorAll(".tools [data-show]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    filter();
  }));
  document.querySelector(".tools .save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([ticks()], { type: "application/json" }));
    link.download = "ticks.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  document.querySelector(".tools .shown-on").addEventListener("click", () => setShown(true));
  document.querySelector(".tools .shown-off").addEventListener("click", () => setShown(false));
  function setShown(value) {
    items.forEach((item, i) => { if (!item.hidden && !boxes[i].disabled) boxes[i].checked = value; });
    paint();
  }
  search.addEventListener("input", filter);
  boxes.forEach((box) => box.addEventListener("change", paint));
  paint();
})();
