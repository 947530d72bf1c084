// Enhancement only: every page works without it. The slider moves on release, and the arrow keys
// walk through the days when no control has the focus.
"use strict";
(() => {
  const slide = document.querySelector("form.slide");
  if (slide) {
    const range = slide.querySelector("input[type=range]");
    const options = [...slide.querySelectorAll("option")];
    const days = options.map((o) => o.dataset.day);
    const go = (day) => { location.href = slide.dataset.path + "?as_of=" + encodeURIComponent(day); };
    const said = document.querySelector(".time .now");
    slide.classList.add("live");
    range.addEventListener("input", () => {
      range.setAttribute("aria-valuetext", options[range.value].label);
      said.firstChild.textContent = "as of " + options[range.value].label + " ";
    });
    // A keyboard user steps with the arrows and shows the day with Enter; a pointer shows it at once.
    let pointer = false;
    range.addEventListener("pointerdown", () => { pointer = true; });
    range.addEventListener("change", () => { if (pointer) go(days[range.value]); });
    slide.addEventListener("submit", (event) => { event.preventDefault(); go(days[range.value]); });
  }
  document.addEventListener("change", (event) => {
    if (event.target.id === "as_of") event.target.form.classList.add("changed");
  });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, select, textarea, button, [tabindex='0']")) return;
    const link = document.querySelector("a.step[rel=" + step + "]");
    if (link) location.href = link.href;
  });
})();
