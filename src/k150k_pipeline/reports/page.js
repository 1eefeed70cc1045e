"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const options = {responsive: true, displayModeBar: false};
  const print = matchMedia("print");
  const template = (onPaper) =>
    data.templates[dark.matches && !onPaper && !print.matches ? "dark" : "light"];
  const paper = {width: 640, height: 800};  // pixels that a figure has on A4 and on Letter
  const wide = 960;  // least pixels of a figure that has panels beside each other

  for (const box of boxes) {
    const {data: traces, layout} = data.figures[box.dataset.figure];
    if (layout.height) box.style.height = `${layout.height}px`;
    Plotly.newPlot(box, traces, {...layout, template: template(false)}, options);
  }
  dark.addEventListener("change", () => {
    for (const box of boxes) Plotly.relayout(box, {template: template(false)});
  });
  // A figure is drawn as wide as paper, or wider if it is higher than a page, and scaled to fit.
  addEventListener("beforeprint", () => {
    for (const box of boxes) {
      const height = box.clientHeight;
      const least = box.closest(".wide") ? wide : paper.width;
      const width = Math.round(Math.max(least, paper.width * height / paper.height));
      Plotly.relayout(box, {template: template(true), autosize: false, width, height});
      box.style.setProperty("--shape", `${width} / ${height}`);
      for (const svg of box.querySelectorAll(".main-svg")) {
        svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      }
    }
  });
  addEventListener("afterprint", () => {
    for (const box of boxes) {
      for (const svg of box.querySelectorAll(".main-svg")) svg.removeAttribute("viewBox");
      const height = data.figures[box.dataset.figure].layout.height ?? null;
      Plotly.relayout(box, {template: template(false), autosize: true, width: null, height});
    }
  });
  document.documentElement.dataset.drawn = boxes.length;
})();
