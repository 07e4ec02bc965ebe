"""The HTML, CSS and JavaScript of a report, as templates. `page` fills them.

The page loads nothing: its policy (`Content-Security-Policy`) forbids it.
"""

from string import Template

PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; \
media-src data: file: 'self'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="note">$subtitle</p>
<dl class="tiles">$tiles</dl>
$warnings
<noscript><p>The charts need JavaScript.</p></noscript>
<div class="charts">$charts</div>
<p class="note">$charts_note</p>
$video
<h2>Evaluations</h2>
$evaluations
<h2>Command</h2>
$command
<h2>Settings</h2>
$settings
<h2>Environment options</h2>
$env_options
<h2>Versions and machine</h2>
$versions
</main>
<script type="application/json" id="data">$data</script>
<script>$plotly</script>
<script>$script</script>
</body>
</html>
"""
)

CHART = Template(
    """<figure><figcaption>$title</figcaption><div class="chart" id="chart-$number">\
</div></figure>"""
)
TILE = Template("<div><dt>$name</dt><dd>$value</dd></div>")
TABLE = Template(
    """<div class="wide"><table><thead><tr>$head</tr></thead>
<tbody>$rows</tbody></table></div>"""
)
HEAD = Template('<th scope="col">$text</th>')
ROW = Template("<tr>$cells</tr>\n")
CHANGED_ROW = Template('<tr class="changed">$cells</tr>\n')
CELL = Template("<td>$text</td>")
NOTE = Template('<p class="note">$text</p>')
WARNINGS = Template('<ul class="warnings">$items</ul>')
WARNING = Template("<li>$text</li>")
COMMAND = Template("<pre><code>$text</code></pre>")
VIDEO = Template(
    """<h2>Film</h2>
<figure class="film"><video controls muted loop src="$source"></video>\
<figcaption>$caption</figcaption></figure>"""
)
LINK = Template('<a href="$address">$text</a>')

STYLE = """
:root {
  --back: #ffffff; --card: #f6f7f9; --text: #1d2127; --faint: #5b6470;
  --edge: #d6dae0; --mark: #fff3d6;
  --c0: #0072b2; --c1: #d55e00; --band: rgba(0, 114, 178, 0.2);
  --p0: #a6c8e0; --p1: #6ba6cf; --p2: #2f7db5; --p3: #08457e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171b; --card: #1d2127; --text: #e8eaed; --faint: #a4adb8;
    --edge: #3a414a; --mark: #3d3215;
    --c0: #56b4e9; --c1: #ff9f5a; --band: rgba(86, 180, 233, 0.25);
    --p0: #2d5f86; --p1: #4086b8; --p2: #77b5e2; --p3: #d2e8f9;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
}
main { max-width: 1200px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { margin: 0; font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { margin: 40px 0 8px; font-size: 1.2rem; }
a { color: var(--c0); }
.note, figcaption, dt { color: var(--faint); }
.note { margin: 4px 0 16px; font-size: 0.9rem; overflow-wrap: anywhere; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr));
  gap: 12px; margin: 16px 0 24px;
}
.tiles div { background: var(--card); border-radius: 8px; padding: 10px 14px; }
dt { font-size: 0.85rem; }
dd { margin: 0; font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
.warnings { background: var(--mark); border-radius: 8px; padding: 10px 32px; }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.charts figure:first-child { grid-column: 1 / -1; }
@media (max-width: 800px) { .charts { grid-template-columns: 1fr; } }
figure {
  margin: 0; min-width: 0; padding: 12px; background: var(--card);
  border-radius: 8px;
}
.charts figcaption { font-weight: 600; color: var(--text); }
.chart { height: 320px; }
/* The buttons are beside the caption, where they hide no legend. */
.chart .modebar-container { top: -32px !important; }
/* One that would be alone in its row takes all of it. */
.charts figure:last-child:nth-child(even) { grid-column: 1 / -1; }
.charts figure:first-child .chart { height: 400px; }
.film { max-width: 700px; }
video { width: 100%; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td {
  text-align: left; vertical-align: top; padding: 5px 12px 5px 6px;
  border-bottom: 1px solid var(--edge); font-variant-numeric: tabular-nums;
}
th { color: var(--faint); font-weight: 600; }
.changed td { background: var(--mark); }
.changed td:first-child { font-weight: 700; }
pre {
  background: var(--card); border-radius: 8px; padding: 12px;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
"""

# Colors are names of CSS variables in the data: those of the present scheme are used.
SCRIPT = """
"use strict";
const charts = JSON.parse(document.getElementById("data").textContent);
function resolved(value) {
  if (typeof value === "string" && value.startsWith("--")) {
    return getComputedStyle(document.documentElement).getPropertyValue(value).trim();
  }
  if (Array.isArray(value)) return value.map(resolved);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolved(v)]));
}
function axis(own) {
  const edge = {gridcolor: "--edge", linecolor: "--edge", zerolinecolor: "--edge"};
  const spike = {spikecolor: "--faint", spikethickness: 1, spikedash: "dot"};
  return {automargin: true, ...edge, ...spike, ...own};
}
function layout(chart) {
  return resolved({
    ...chart.layout,
    xaxis: axis(chart.layout.xaxis),
    yaxis: axis(chart.layout.yaxis),
    font: {color: "--text", family: "system-ui, sans-serif", size: 13},
    paper_bgcolor: "rgba(0, 0, 0, 0)",
    plot_bgcolor: "rgba(0, 0, 0, 0)",
    hoverlabel: {
      bgcolor: "--back", bordercolor: "--edge", font: {color: "--text"}, namelength: -1,
    },
    hovermode: "x unified",
    legend: {orientation: "h", x: 0, y: 1.02, yanchor: "bottom"},
    modebar: {bgcolor: "rgba(0, 0, 0, 0)", color: "--faint", activecolor: "--text"},
    margin: {t: 24, r: 16, b: 48, l: 60},
    showlegend: chart.traces.length > 1,
  });
}
function draw() {
  charts.forEach((chart, number) => {
    const buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]];
    const options = {responsive: true, displaylogo: false, modeBarButtons: buttons};
    const traces = resolved(chart.traces);
    Plotly.react("chart-" + number, traces, layout(chart), options);
  });
}
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
"""
