// Parts of the page made of text: all text is set as text, never as HTML.

export function element(name, text = null, className = "") {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function percent(probability) {
  return `${Math.round(100 * probability)} %`;
}

function row(cells, name = "td", texts = 1) {
  const made = element("tr");
  made.append(...cells.map((text, index) => element(name, text, index < texts ? "text" : "")));
  if (name === "th") made.childNodes.forEach((cell) => cell.setAttribute("scope", "col"));
  return made;
}

export function segmentTable(result) {
  const details = element("details");
  details.append(element("summary", `Timeline as a table (${result.segments.length} ${result.segments.length === 1 ? "stretch" : "stretches"})`));
  const labels = Object.keys(result.segments[0].probabilities);
  const table = element("table");
  const [head, body] = [element("thead"), element("tbody")];
  head.append(row(["start (s)", "end (s)", "class", ...labels.map((label) => `P(${label})`), "flags"], "th", 3));
  for (const segment of result.segments) {
    const flags = [segment.unlike_training && "unlike training", segment.uncertain && "uncertain"].filter(Boolean);
    body.append(row([segment.start.toFixed(2), segment.end.toFixed(2), segment.label,
      ...labels.map((label) => segment.probabilities[label].toFixed(2)), flags.join(", ")], "td", 3));
  }
  table.append(head, body);
  const scroll = element("div", null, "scroll");
  scroll.append(table);
  details.append(scroll);
  return details;
}

export function overviewRow(results) {
  const findings = results[0].summary.crackle === null ? [] : ["crackle", "wheeze"];
  const head = row(["recording", "class", "length (s)", ...findings.map((name) => `P(${name})`), "P(abnormal)", "findings"],
    "th", 2);
  const rows = results.map(({ file, summary, duration, events }) => row([file, summary.label, duration.toFixed(1),
    ...findings.map((name) => summary[name].toFixed(2)), summary.abnormal.toFixed(2), String(events?.length ?? "–")],
    "td", 2));
  return { head, rows };
}

export function describeModel(model) {
  const rule = model.classify;
  const paragraphs = [
    `Model ${model.model}, written by lung-srad ${model.version}. It was trained on ${model.data ?? "data that is not named"}.`,
    `Each recording is cut into windows of ${rule.window} s every ${rule.hop} s, at ${model.sample_rate} Hz. Each window ` +
      `gets a probability for ${model.labels.join(", ")}; where windows overlap, their ${MERGED[rule.merging]}.`,
    "The classes are what annotators of the training recordings heard. Any sound gets a class. A model is only known on " +
      "recordings like those it was tested on; nobody has tested it for use on patients." +
      (rule.unlike_training ? " Sounds that move unlike the training sounds are flagged; others may still be no lung sound." : ""),
    "The same windows, merging, thresholds and checks as lung-srad classify. Left out: annotated cycles, calibrated " +
      "probabilities, sensitivity thresholds, pictures, explanation maps, and the check for files that were cut off.",
  ];
  const link = element("a", "The model's card");
  link.href = "model-card.md";
  const licences = element("a", "Licences");
  licences.href = "LICENSES.txt";
  const links = element("p");
  links.append(link, " · ", licences);
  return [...paragraphs.map((text) => element("p", text)), links];
}

const MERGED = {
  mean: "mean is taken",
  median: "median is taken",
  max: "most abnormal one is taken",
  nearest: "nearest one is taken",
};
