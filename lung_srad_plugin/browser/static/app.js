// The page: takes files one after the other, and shows what the model finds in each.

import { decode, InputError } from "./decode.js";
import { makePicture, timeAt } from "./drawing.js";
import { describeModel, element, overviewRow, percent, segmentTable } from "./elements.js";
import { loadModel } from "./model.js";
import { prepareRecording } from "./recording.js";
import { makeResult, toCsv } from "./timeline.js";

const input = document.getElementById("files");
const drop = document.getElementById("drop");
const status = document.getElementById("status");
const results = [];
const redraws = new Set();
let busy = Promise.resolve();

const loading = loadModel();
loading.then(
  (model) => {
    status.textContent = "Ready.";
    document.getElementById("about").replaceChildren(...describeModel(model));
    document.documentElement.dataset.ready = "yes";
  },
  (error) => {
    status.textContent = `The model cannot be loaded: ${error.message}`;
    status.className = "error";
  },
);

async function classify(file, model) {
  const decoded = await decode(await file.arrayBuffer());
  const recording = prepareRecording(decoded, model);
  recording.channels = decoded.channels.length;
  if (decoded.note) recording.flaws.push({ kind: "resampled", message: decoded.note, start: null, end: null });
  const answers = [];
  for (const [begin, end] of recording.windows) {
    status.textContent = `${file.name}: window ${answers.length + 1} of ${recording.windows.length} …`;
    answers.push(await model.run(recording.samples.slice(begin, end)));
  }
  return { result: makeResult(file.name, recording, answers, model), mono: recording.mono };
}

async function take(file) {
  const article = element("article");
  document.getElementById("results").append(article);
  article.append(element("h2", file.name), element("p", "Reading …", "quiet"));
  try {
    const { result, mono } = await classify(file, await loading);
    results.push(result);
    show(article, file, result, mono);
    updateOverview();
  } catch (error) {
    const reason = error instanceof InputError ? error.message : `it cannot be classified (${error.message})`;
    article.replaceChildren(element("h2", file.name), element("p", `${file.name}: ${reason}`, "error"));
  }
}

function takeAll(files) {
  for (const file of files) busy = busy.then(() => take(file));
  busy = busy.then(() => {
    if (status.className !== "error") status.textContent = "Ready.";
  });
}

function show(article, file, result, mono) {
  const findings = result.summary.crackle === null ? ["abnormal"] : ["crackle", "wheeze", "abnormal"];
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label",
    `Waveform and probability of ${findings.join(" and ")} over ${result.duration.toFixed(1)} s; values are in the table`);
  const audio = element("audio");
  audio.controls = true;
  audio.src = URL.createObjectURL(file);
  const picture = makePicture(canvas, result, mono, findings);
  const redraw = () => picture(Math.min(audio.currentTime, result.duration));
  const jump = (time) => {
    audio.currentTime = time;
    audio.play().catch(() => {}); // a format that the browser decodes may be one that it does not play
  };
  canvas.addEventListener("click", (event) => jump(timeAt(canvas, event, result.duration)));
  audio.addEventListener("timeupdate", redraw);
  audio.addEventListener("seeked", redraw);
  redraws.add(redraw);
  const { summary } = result;
  const share = findings.map((finding) => `${finding} ${percent(summary[finding])}`).join(", ");
  article.replaceChildren(
    element("h2", file.name),
    element("p", `Whole recording: ${summary.label}, probability ${percent(summary.probabilities[summary.label])}; ` +
      share, "answer"),
    element("p", `${result.duration.toFixed(1)} s, ${result.sample_rate} Hz, ` +
      `${result.channels} ${result.channels === 1 ? "channel" : "channels"}`, "quiet"),
    flagList(result), canvas, audio, eventList(result, jump), segmentTable(result), downloads(result));
  redraw();
}

function flagList(result) {
  const messages = new Map(); // by kind: a recording may have many stretches of silence
  for (const { kind, message } of result.flaws) messages.set(kind, [...(messages.get(kind) ?? []), message]);
  const flags = [...messages.values()].map((of) => of.join("; "));
  if (result.summary.unlike_training) flags.unshift("unlike the training sounds: the classes mean nothing");
  else if (result.segments.some((segment) => segment.unlike_training)) {
    flags.unshift("in parts unlike the training sounds: the classes mean nothing there; the table says where");
  }
  if (result.summary.uncertain) flags.push("the class of the whole recording is uncertain");
  if (result.trained_on_synthetic) flags.unshift("trained on SYNTHETIC sounds: the result says nothing about a patient");
  const list = element("ul", null, "flags");
  list.append(...flags.map((text) => element("li", text, "flag")));
  list.hidden = flags.length === 0;
  return list;
}

function eventList(result, jump) {
  const part = element("div");
  if (result.events === undefined) return part;
  part.append(element("h3", "Findings above their thresholds"));
  if (result.events.length === 0) {
    part.append(element("p", "None. That does not mean that there are none.", "quiet"));
    return part;
  }
  const list = element("ul", null, "buttons");
  for (const { finding, start, end, probability } of result.events) {
    const button = element("button");
    button.type = "button";
    button.append(element("span", "", `swatch ${finding}`),
      `${finding} ${start.toFixed(1)}–${end.toFixed(1)} s, ${percent(probability)}`);
    button.setAttribute("aria-label", `Play ${finding}, ${start.toFixed(1)} to ${end.toFixed(1)} seconds`);
    button.addEventListener("click", () => jump(start));
    const item = element("li");
    item.append(button);
    list.append(item);
  }
  part.append(list);
  return part;
}

function downloads(result) {
  const part = element("div", null, "buttons");
  const stem = result.file.replace(/\.[^.]*$/, "");
  const offer = (label, name, type, text) => {
    const button = element("button", label);
    button.type = "button";
    button.addEventListener("click", () => save(name, type, text()));
    part.append(button);
  };
  offer("Download JSON", `${stem}.lung-srad.json`, "application/json", () => `${JSON.stringify(result, null, 2)}\n`);
  offer("Download CSV", `${stem}.lung-srad.csv`, "text/csv", () => toCsv([result]));
  return part;
}

function save(name, type, text) {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function updateOverview() {
  const overview = document.getElementById("overview");
  overview.hidden = results.length < 2;
  const { head, rows } = overviewRow(results);
  overview.querySelector("thead").replaceChildren(head);
  overview.querySelector("tbody").replaceChildren(...rows);
}

input.addEventListener("change", () => {
  takeAll([...input.files]);
  input.value = "";
});
// Wherever on the page: beside the box, the browser would leave the page, and its results, for the file.
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  takeAll([...event.dataTransfer.files]);
});
document.getElementById("all-csv").addEventListener("click", () => save("lung-srad.csv", "text/csv", toCsv(results)));
const redrawAll = () => redraws.forEach((redraw) => redraw());
window.addEventListener("resize", redrawAll);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
