// Draws the learning curves: every element with data-curve holds
// [times, accuracies, macro-F1s, macro-F1s of refused versions] as JSON.
(function () {
  "use strict";
  var charts = [];
  function draw(element) {
    var data = JSON.parse(element.dataset.curve);
    element.replaceChildren();
    charts.push(new uPlot({
      width: element.clientWidth,
      height: 220,
      scales: { y: { range: [0, 1] } },
      axes: [{}, { size: 60, values: function (_, ticks) { return ticks.map(function (tick) { return Math.round(tick * 100) + " %"; }); } }],
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
  }
  document.addEventListener("DOMContentLoaded", drawAll);
  new MutationObserver(drawAll).observe(document.documentElement, { childList: true, subtree: true });
})();
