// From the probabilities of windows to a timeline, its events and its summary, in the form of `lung-srad classify`.

const CLASSES = ["normal", "crackle", "wheeze", "both"];

// `windows` are [begin, end] in samples; `answers` have log_probs, and score or null, for each.
export function makeResult(file, recording, answers, model) {
  const rule = model.classify;
  const { windows } = recording;
  const probabilities = answers.map(({ log_probs }) => softmax(log_probs, 1));
  const calibrated = answers.map(({ log_probs }) => softmax(log_probs, rule.temperature ?? 1));
  const scores = answers.map(({ score }) => [score]);
  const merged = mergeWindows(windows, probabilities, rule.merging);
  const confidences = mergeWindows(windows, calibrated, rule.merging);
  const distances = rule.unlike_training ? mergeWindows(windows, scores, "mean") : null;
  const mark = (segment, of, score) => {
    const confidence = Math.max(...of);
    return { ...segment, confidence, uncertain: confidence < rule.uncertain_below, unlike_training_score: score,
      unlike_training: score === null ? null : score > 1 };
  };
  const seconds = (samples) => samples / model.sample_rate;
  const segments = merged.map(({ begin, end, values }, index) =>
    mark(makeSegment(seconds(begin), seconds(end), values, model.labels), confidences[index].values,
      distances === null ? null : distances[index].values[0]));
  const lengths = segments.map(({ start, end }) => end - start);
  const summary = mark(
    makeSegment(segments[0].start, segments.at(-1).end, weightedMean(merged.map(({ values }) => values), lengths),
      model.labels),
    weightedMean(confidences.map(({ values }) => values), lengths),
    distances === null ? null : reached(distances.map(({ values }) => values[0]), lengths));
  const { window, hop, merging, thresholds, min_duration } = rule;
  return {
    file,
    duration: recording.duration,
    sample_rate: recording.rate,
    channels: recording.channels,
    model: model.model,
    kind: "timeline",
    segments,
    summary,
    flaws: recording.flaws,
    ...(rule.trained_on_synthetic ? { trained_on_synthetic: true } : {}),
    windows: { window, hop, merging, thresholds, min_duration },
    ...(Object.keys(thresholds).length > 0 ? { events: findEvents(segments, thresholds, min_duration) } : {}),
    confidence_calibrated: rule.temperature !== null,
    // What classify does not write: each window by itself.
    window_probabilities: windows.map(([begin, end], index) => ({
      start: seconds(begin),
      end: seconds(end),
      probabilities: Object.fromEntries(model.labels.map((label, number) => [label, probabilities[index][number]])),
      unlike_training_score: answers[index].score,
    })),
  };
}

function softmax(logs, temperature) {
  const scaled = Array.from(logs, (value) => value / temperature);
  const highest = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - highest));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}

// A stretch between two edges of windows has what the windows that cover it give together.
export function mergeWindows(windows, rows, merging) {
  const edges = [...new Set(windows.flat())].sort((one, other) => one - other);
  return edges.slice(1).flatMap((end, index) => {
    const begin = edges[index];
    const covering = windows.flatMap(([from, to], row) => (from <= begin && to >= end ? [row] : []));
    if (covering.length === 0) return [];
    const middles = covering.map((row) => windows[row][0] + windows[row][1]);
    return [{ begin, end, values: MERGE[merging](covering.map((row) => rows[row]), middles, begin + end) }];
  });
}

function columns(rows, reduce) {
  return rows[0].map((_, column) => reduce(rows.map((row) => row[column])));
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const MERGE = {
  mean: (rows) => columns(rows, mean),
  median: (rows) => {
    const middle = columns(rows, median);
    const total = middle.reduce((sum, value) => sum + value, 0);
    return total > 0 ? middle.map((value) => value / total) : columns(rows, mean);
  },
  max: (rows) => rows.reduce((most, row) => (row[0] < most[0] ? row : most)),
  nearest: (rows, middles, here) => {
    const distances = middles.map((middle) => Math.abs(middle - here));
    const least = Math.min(...distances);
    return columns(rows.filter((_, index) => distances[index] === least), mean);
  },
};

function makeSegment(start, end, values, labels) {
  const probabilities = Object.fromEntries(labels.map((label, index) => [label, values[index]]));
  const findings = labels.length === CLASSES.length && CLASSES.every((label) => label in probabilities);
  return {
    start,
    end,
    label: labels[values.indexOf(Math.max(...values))],
    probabilities,
    crackle: findings ? probabilities.crackle + probabilities.both : null,
    wheeze: findings ? probabilities.wheeze + probabilities.both : null,
    abnormal: 1 - values[0],
  };
}

function weightedMean(rows, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return columns(rows.map((row, index) => row.map((value) => value * weights[index])),
    (values) => values.reduce((sum, value) => sum + value, 0) / total);
}

// The highest score that segments of at least half of the length reach.
function reached(scores, lengths) {
  const falling = scores.map((_, index) => index).sort((one, other) => scores[other] - scores[one]);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let covered = 0;
  for (const index of falling) {
    covered += lengths[index];
    if (covered >= (total / 2) * (1 - 1e-9)) return scores[index];
  }
  return scores[falling.at(-1)];
}

// Stretches in which a finding reaches its threshold without a break.
export function findEvents(segments, thresholds, minDuration) {
  const events = [];
  for (const [finding, threshold] of Object.entries(thresholds)) {
    let run = [];
    const close = () => {
      if (run.length > 0 && run.at(-1).end - run[0].start >= minDuration - 1e-9) {
        const lengths = run.map(({ start, end }) => end - start);
        const [probability] = weightedMean(run.map((segment) => [segment[finding]]), lengths);
        events.push({ finding, start: run[0].start, end: run.at(-1).end, probability });
      }
      run = [];
    };
    for (const segment of segments) {
      if (run.length > 0 && segment.start - run.at(-1).end > 1e-9) close();
      if (segment[finding] !== null && segment[finding] >= threshold) run.push(segment);
      else close();
    }
    close();
  }
  return events.sort((one, other) => one.start - other.start || one.end - other.end ||
    (one.finding < other.finding ? -1 : 1));
}

// The columns of `lung-srad classify --format csv`.
export function toCsv(results) {
  const rows = results.flatMap((result) => result.segments.map((segment) => ({
    file: result.file,
    start: segment.start,
    end: segment.end,
    label: segment.label,
    ...Object.fromEntries(Object.entries(segment.probabilities).map(([label, value]) => [`p_${label}`, value])),
    any_crackle: segment.crackle,
    any_wheeze: segment.wheeze,
    abnormal: segment.abnormal,
    flaws: [...new Set(result.flaws.filter((flaw) => touches(flaw, segment)).map(({ kind }) => kind))].sort().join(" "),
    model: result.model,
    ...(result.trained_on_synthetic ? { trained_on: "SYNTHETIC sounds" } : {}),
    confidence: segment.confidence,
    uncertain: segment.uncertain,
    unlike_training_score: segment.unlike_training_score,
    unlike_training: segment.unlike_training,
  })));
  return [Object.keys(rows[0]), ...rows.map(Object.values)].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function touches(flaw, segment) {
  return flaw.start === null || (flaw.start < segment.end && flaw.end > segment.start);
}

function cell(value) {
  if (value === null) return "";
  if (typeof value === "number") return value.toFixed(6);
  if (typeof value === "boolean") return value ? "True" : "False";
  // A spreadsheet would compute what begins like a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
