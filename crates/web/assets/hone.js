// Draws the learning curves and the trends. Every element with data-curve holds
// [times, accuracies, macro-F1s, macro-F1s of refused versions] as JSON, every element with data-trend
// [times, interactions, shares judged right, shares of thumbs that are up, shares that failed], and data-range its
// first and last second.
(function () {
  "use strict";
  var charts = [];
  function percent(_, ticks) {
    return ticks.map(function (tick) { return Math.round(tick * 100) + " %"; });
  }
  function drawTrend(element) {
    var data = JSON.parse(element.dataset.trend);
    element.replaceChildren();
    var line = function (label, stroke) {
      return { label: label, stroke: stroke, width: 2, spanGaps: true, points: { show: data[0].length < 60, size: 5 } };
    };
    charts.push(new uPlot({
      width: element.clientWidth,
      height: 180,
      scales: { x: { range: JSON.parse(element.dataset.range) }, y: { range: [0, 1] }, count: { range: function (_, low, high) { return [0, Math.max(high, 1)]; } } },
      axes: [{}, { size: 60, values: percent }, { side: 1, scale: "count", grid: { show: false } }],
      series: [
        { label: "hour" },
        { label: "interactions", scale: "count", stroke: "#9aa5b1", fill: "#9aa5b133", width: 1, paths: uPlot.paths.bars({ size: [0.8, 40] }), points: { show: false } },
        line("judged right", "#1a7f4b"),
        line("approval", "#2456c4"),
        line("failed", "#b3362b"),
      ],
    }, data, element));
    element.dataset.drawn = "true";
  }
  function draw(element) {
    var data = JSON.parse(element.dataset.curve);
    element.replaceChildren();
    charts.push(new uPlot({
      width: element.clientWidth,
      height: 220,
      scales: { y: { range: [0, 1] } },
      axes: [{}, { size: 60, values: percent }],
      series: [
        { label: "evaluated" },
        { label: "accuracy", stroke: "#2456c4", width: 2, spanGaps: true, points: { show: true, size: 6 } },
        { label: "macro-F1", stroke: "#1a7f4b", width: 2, spanGaps: true, points: { show: true, size: 6 } },
        { label: "refused (macro-F1)", stroke: "#b3362b", width: 0, points: { show: true, size: 8 } },
      ],
    }, data, element));
    element.dataset.drawn = "true";
  }
  // uPlot remembers every chart until it is destroyed; the page is replaced every two seconds.
  function forgetReplaced() {
    charts = charts.filter(function (chart) {
      if (document.contains(chart.root)) return true;
      chart.destroy();
      return false;
    });
  }
  function drawAll() {
    forgetReplaced();
    document.querySelectorAll("[data-curve]:not([data-drawn])").forEach(draw);
    document.querySelectorAll("[data-trend]:not([data-drawn])").forEach(drawTrend);
  }
  document.addEventListener("DOMContentLoaded", drawAll);
  new MutationObserver(drawAll).observe(document.documentElement, { childList: true, subtree: true });
})();
