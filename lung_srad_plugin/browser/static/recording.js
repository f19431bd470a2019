// From a decoded file to windows for the model: the steps, and the numbers, of `lung-srad classify`.

import { checkSamples } from "./quality.js";
import { InputError } from "./decode.js";

// torchaudio's windowed sinc filter: 6 zero crossings, a Hann window, cut off at 0.99 of the lower Nyquist rate.
const CROSSINGS = 6;
const ROLLOFF = 0.99;
const MAX_FILTER = 8_000_000;

// Returns what the model needs of {channels, rate}, and what a reader must know of the recording.
export function prepareRecording(decoded, model) {
  const { rate } = decoded;
  const checks = checkSamples(decoded.channels, rate);
  const wanted = model.sample_rate;
  const samples = resample(checks.mono, rate, wanted);
  fade(samples, Math.trunc(model.classify.fade_seconds * wanted));
  const gain = levelGain(samples, wanted, model.classify.level);
  if (gain !== 1) for (let index = 0; index < samples.length; index++) samples[index] *= gain;
  const scale = wanted / rate;
  const stills = checks.stills.map(([begin, end]) => [begin * scale, end * scale]);
  const rule = model.classify;
  const windows = placeWindows(samples.length, roundEven(rule.window * wanted), roundEven(rule.hop * wanted))
    // One sample of tolerance: the two rates do not share every edge.
    .filter(([begin, end]) => !stills.some(([from, to]) => from <= begin + 1 && end - 1 <= to));
  if (windows.length === 0) throw new InputError("every window is silent or constant; expected sound");
  return { samples, windows, flaws: checks.flaws, mono: checks.mono, rate, duration: checks.mono.length / rate };
}

export function resample(samples, rate, wanted) {
  if (rate === wanted) return samples.slice();
  const divisor = greatestDivisor(rate, wanted);
  const before = rate / divisor;
  const after = wanted / divisor;
  if (before * after > MAX_FILTER) {
    throw new InputError(`its ${rate} Hz have no common measure with ${wanted} Hz; resample it to a usual rate first`);
  }
  const base = Math.min(before, after) * ROLLOFF;
  const width = Math.ceil((CROSSINGS * before) / base);
  const filters = Array.from({ length: after }, (_, phase) => sincFilter(phase, before, after, base, width));
  const length = Math.ceil((samples.length * after) / before);
  const output = new Float32Array(length);
  for (let index = 0; index < length; index++) {
    const { first, taps } = filters[index % after];
    const from = Math.floor(index / after) * before - width + first;
    let sum = 0;
    const begin = Math.max(0, -from);
    const end = Math.min(taps.length, samples.length - from);
    for (let tap = begin; tap < end; tap++) sum += taps[tap] * samples[from + tap];
    output[index] = sum;
  }
  return output;
}

// One phase of the filter; what the window makes 0 at both ends is left out.
function sincFilter(phase, before, after, base, width) {
  const taps = [];
  let first = null;
  for (let index = 0; index < 2 * width + before; index++) {
    const time = (-phase / after + (index - width) / before) * base;
    if (Math.abs(time) >= CROSSINGS) continue;
    first ??= index;
    const angle = time * Math.PI;
    const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
    taps.push((sinc * Math.cos(angle / CROSSINGS / 2) ** 2 * base) / before);
  }
  return { first, taps: Float32Array.from(taps) };
}

function greatestDivisor(one, other) {
  while (other !== 0) [one, other] = [other, one % other];
  return one;
}

function fade(samples, ramp) {
  for (let index = 0; index < ramp; index++) {
    const part = index / (ramp - 1);
    samples[index] *= part;
    samples[samples.length - ramp + index] *= 1 - part;
  }
}

// The gain that brings the level that three quarters of the blocks with sound do not exceed to the target.
export function levelGain(samples, rate, level) {
  if (level.kind !== "rms") return level.gain;
  const size = Math.trunc(level.block_seconds * rate);
  const loud = [];
  for (let begin = 0; begin + size <= samples.length; begin += size) {
    let mean = 0;
    for (let index = begin; index < begin + size; index++) mean += samples[index];
    mean /= size;
    let power = 0;
    for (let index = begin; index < begin + size; index++) power += (samples[index] - mean) ** 2;
    const rms = Math.sqrt(power / size);
    if (rms > level.silent) loud.push(rms);
  }
  if (loud.length === 0) return 1;
  loud.sort((one, other) => other - one);
  const position = (1 - level.quantile) * (loud.length - 1);
  const [low, high] = [loud[Math.floor(position)], loud[Math.ceil(position)]];
  return level.target / Math.max(low + (high - low) * (position - Math.floor(position)), level.silent);
}

export function placeWindows(samples, window, hop) {
  if (samples <= window) return [[0, samples]];
  const begins = [];
  for (let begin = 0; begin + window <= samples; begin += hop) begins.push(begin);
  if (begins.at(-1) + window < samples) begins.push(samples - window);
  return begins.map((begin) => [begin, begin + window]);
}

// Python's rounding: halves go to the even neighbour.
function roundEven(value) {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
}
