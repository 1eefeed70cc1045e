"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const options = {responsive: true, displayModeBar: false};
  const print = matchMedia("print");
  const template = (onPaper) =>
    data.templates[dark.matches && !onPaper && !print.matches ? "dark" : "light"];
  const each = (change) => boxes.forEach((box) => Plotly.relayout(box, change(box)));

  for (const box of boxes) {
    const {data: traces, layout} = data.figures[box.dataset.figure];
    if (layout.height) box.style.height = `${layout.height}px`;
    Plotly.newPlot(box, traces, {...layout, template: template(false)}, options);
  }
  dark.addEventListener("change", () => each(() => ({template: template(false)})));
  addEventListener("beforeprint", () => each((box) => ({
    template: template(true), autosize: false, width: box.clientWidth,
  })));
  addEventListener("afterprint", () => each(() => ({
    template: template(false), autosize: true, width: null,
  })));
  document.documentElement.dataset.drawn = boxes.length;
})();
