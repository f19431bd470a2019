// A recording's picture: waveform, probability of each finding over time, and events.

const LEFT = 4;
const MARGIN = 8;

// Returns a function that draws the picture with the playhead at `time`.
export function makePicture(canvas, result, mono, findings) {
  const peaks = new Map();
  return (time) => {
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    const ratio = window.devicePixelRatio || 1;
    if (width === 0) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const inner = width - 2 * LEFT;
    const at = (seconds) => LEFT + (seconds / result.duration) * inner;
    if (!peaks.has(inner)) peaks.set(inner, findPeaks(mono, inner));
    context.font = "12px system-ui, sans-serif";
    const axis = 20;
    const waveHeight = (height - axis) * 0.4;
    drawWave(context, peaks.get(inner), waveHeight, colour("wave"));
    const row = (height - axis - waveHeight) / findings.length;
    findings.forEach((finding, index) => {
      const top = waveHeight + index * row + MARGIN;
      drawFinding(context, { result, finding, at, top, height: row - MARGIN, width, colour });
    });
    drawAxis(context, { duration: result.duration, at, height, width, colour });
    context.fillStyle = colour("now");
    context.fillRect(at(time) - 0.75, 0, 1.5, height - axis);
  };
}

export function timeAt(canvas, event, duration) {
  const box = canvas.getBoundingClientRect();
  const part = (event.clientX - box.left - LEFT) / (box.width - 2 * LEFT);
  return Math.min(Math.max(part, 0), 1) * duration;
}

function findPeaks(mono, count) {
  const columns = Math.max(1, Math.floor(count));
  const peaks = new Float32Array(columns);
  let highest = 0;
  for (let column = 0; column < columns; column++) {
    const end = Math.max(Math.floor(((column + 1) * mono.length) / columns), 1);
    for (let index = Math.floor((column * mono.length) / columns); index < end; index++) {
      peaks[column] = Math.max(peaks[column], Math.abs(mono[index]));
    }
    highest = Math.max(highest, peaks[column]);
  }
  return highest > 0 ? peaks.map((peak) => peak / highest) : peaks;
}

function drawWave(context, peaks, height, colour) {
  context.fillStyle = colour;
  peaks.forEach((peak, index) => {
    const size = Math.max(1, peak * (height - 4));
    context.fillRect(LEFT + index, (height - size) / 2, 1, size);
  });
}

function drawFinding(context, { result, finding, at, top, height, width, colour }) {
  const y = (probability) => top + height * (1 - probability);
  context.fillStyle = colour("panel");
  context.fillRect(LEFT, top, width - 2 * LEFT, height);
  context.fillStyle = colour(finding);
  for (const segment of result.segments) {
    const [left, right] = [at(segment.start), at(segment.end)];
    context.globalAlpha = 0.35;
    context.fillRect(left, y(segment[finding]), right - left, height * segment[finding]);
    context.globalAlpha = 1;
    context.fillRect(left, y(segment[finding]) - 1, right - left, 2);
  }
  for (const event of result.events ?? []) {
    if (event.finding === finding) context.fillRect(at(event.start), top + height - 4, at(event.end) - at(event.start), 4);
  }
  const threshold = result.windows.thresholds[finding];
  if (threshold !== undefined) {
    context.strokeStyle = colour("quiet");
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(LEFT, y(threshold));
    context.lineTo(width - LEFT, y(threshold));
    context.stroke();
    context.setLineDash([]);
  }
  const text = `P(${finding})`;
  context.fillStyle = colour("page");
  context.globalAlpha = 0.75;
  context.fillRect(LEFT + 2, top + 2, context.measureText(text).width + 6, 16);
  context.globalAlpha = 1;
  context.fillStyle = colour("text");
  context.fillText(text, LEFT + 5, top + 14);
}

function drawAxis(context, { duration, at, height, width, colour }) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
  const step = steps.find((seconds) => (duration / seconds) * 50 <= width) ?? 1800;
  context.fillStyle = colour("quiet");
  for (let index = 0; index * step < duration; index++) {
    const seconds = index * step;
    const text = index === 0 ? "0 s" : String(Number(seconds.toFixed(1)));
    const left = Math.min(at(seconds), width - context.measureText(text).width - LEFT);
    context.fillRect(at(seconds), height - 20, 1, 4);
    context.fillText(text, left, height - 4);
  }
}
