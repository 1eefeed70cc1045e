// Draws the figures of notebook pages in the colours of the site.
function colours(place) {
  const text = getComputedStyle(place).color;
  const shapes = (place.layout?.shapes ?? []).map((_, number) => [`shapes[${number}].line.color`, text]);
  return { "font.color": text, "title.font.color": text, ...Object.fromEntries(shapes) };
}

function drawFigure(id, figure) {
  const place = document.getElementById(id);
  const lines = "rgba(128, 136, 144, 0.35)";
  const { width, ...layout } = figure.layout;
  for (const axis of ["xaxis", "yaxis"]) {
    Object.assign(layout.template.layout[axis], { gridcolor: lines, zerolinecolor: lines, linecolor: lines });
  }
  Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" });
  const text = getComputedStyle(place).color;
  layout.font = { ...layout.font, color: text };
  for (const shape of layout.shapes ?? []) shape.line = { ...shape.line, color: text };
  for (const bar of layout.template.data?.bar ?? []) bar.marker = { ...bar.marker, line: { width: 0 } };
  Plotly.newPlot(place, figure.data, layout, { responsive: true, displaylogo: false });
  new MutationObserver(() => Plotly.relayout(place, colours(place))).observe(document.body, {
    attributeFilter: ["data-md-color-scheme"],
  });
}
