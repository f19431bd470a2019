// Checks of a recording's samples, with the limits of lung_srad_plugin/audio/quality.py.

import { InputError } from "./decode.js";

const MIN_RATE = 4000;
const MIN_SECONDS = 0.2;
const STILL = 1e-5;
const SILENT = 1e-4;
const FULL_SCALE = 0.999;
const CLIPPED_RUN = 3;
const CLIPPED_SHARE = 1e-4;
const QUIET_PEAK = 0.002;
const OFFSET = 0.1;
const MAX_LISTED = 20;
const CANCELLED_POWER = 0.01;

// Returns {mono, stills: [[begin, end, level]], flaws: [{kind, message, start, end}]}; throws where nothing can be done.
export function checkSamples(channels, rate) {
  const length = channels[0].length;
  if (rate < MIN_RATE) {
    throw new InputError(`${rate} samples a second; crackles and wheezes need at least ${MIN_RATE}`);
  }
  if (length < MIN_SECONDS * rate) {
    throw new InputError(`it lasts ${(length / rate).toFixed(4)} s; expected at least ${MIN_SECONDS} s`);
  }
  const mono = average(channels);
  const bad = mono.findIndex((sample) => !Number.isFinite(sample));
  if (bad >= 0) {
    throw new InputError(`it holds NaN or infinite samples, the first at ${(bad / rate).toFixed(3)} s`);
  }
  const cancelled = cancelledChannels(channels);
  const stills = stillRuns(mono, rate);
  if (stills.length === 1 && stills[0][0] === 0 && stills[0][1] === length) {
    const what = Math.abs(stills[0][2]) <= SILENT ? "silence" : "one constant value";
    throw new InputError(cancelled ?? `${what} from beginning to end; expected a recording with sound in it`);
  }
  const flaws = [...stillFlaws(stills, rate), ...levelFlaws(mono), ...channelFlaws(channels)];
  if (cancelled !== null) flaws.push(flaw("channel", cancelled));
  return { mono, stills, flaws };
}

function average(channels) {
  if (channels.length === 1) return channels[0];
  const mono = new Float32Array(channels[0].length);
  for (let index = 0; index < mono.length; index++) {
    let sum = 0;
    for (const channel of channels) sum += channel[index];
    mono[index] = sum / channels.length;
  }
  return mono;
}

function stillRuns(mono, rate) {
  const runs = [];
  let begin = 0;
  for (let index = 1; index <= mono.length; index++) {
    if (index < mono.length && Math.abs(mono[index] - mono[index - 1]) <= STILL) continue;
    if (index - begin >= MIN_SECONDS * rate) runs.push([begin, index, mono[begin]]);
    begin = index;
  }
  return runs;
}

function flaw(kind, message, start = null, end = null) {
  return { kind, message, start, end };
}

function stillFlaws(runs, rate) {
  if (runs.length > MAX_LISTED) {
    const seconds = runs.reduce((sum, [begin, end]) => sum + end - begin, 0) / rate;
    return [flaw("silence", `silence or a constant value in ${runs.length} stretches, ${seconds.toFixed(1)} s in total`)];
  }
  return runs.map(([begin, end, level]) => {
    const [start, stop] = [begin / rate, end / rate];
    const times = `from ${start.toFixed(2)} to ${stop.toFixed(2)} s`;
    return Math.abs(level) <= SILENT
      ? flaw("silence", `silence ${times}`, start, stop)
      : flaw("constant", `one constant value, ${level.toPrecision(3)}, ${times}`, start, stop);
  });
}

function levelFlaws(mono) {
  let [peak, total, clipped, run] = [0, 0, 0, 0];
  for (const sample of mono) {
    const size = Math.abs(sample);
    peak = Math.max(peak, size);
    total += sample;
    run = size >= FULL_SCALE ? run + 1 : 0;
    if (run === CLIPPED_RUN) clipped += CLIPPED_RUN;
    else if (run > CLIPPED_RUN) clipped += 1;
  }
  const mean = total / mono.length;
  const flaws = [];
  if (clipped > CLIPPED_SHARE * mono.length) {
    const share = (100 * clipped) / mono.length;
    flaws.push(flaw("clipping", `${Number(share.toPrecision(2))} % of the samples are cut off at full scale`));
  }
  if (peak < QUIET_PEAK) flaws.push(flaw("quiet", `the loudest sample is ${Number(peak.toPrecision(2))} of full scale`));
  if (Math.abs(mean) > OFFSET) {
    flaws.push(flaw("offset", `the samples are off zero by ${Number(mean.toPrecision(2))} of full scale on average`));
  }
  return flaws;
}

function channelFlaws(channels) {
  if (channels.length === 1) return [];
  return channels.flatMap((channel, index) => {
    let [low, high] = [Infinity, -Infinity];
    for (const sample of channel) [low, high] = [Math.min(low, sample), Math.max(high, sample)];
    const name = `channel ${index + 1} of ${channels.length} has no signal from beginning to end`;
    return high - low <= STILL ? [flaw("channel", `${name}; the average of the channels includes it`)] : [];
  });
}

// What is wrong with channels whose average has hardly a part of their power, such as inverted copies; else null.
function cancelledChannels(channels) {
  let [ofChannels, ofAverage] = [0, 0];
  if (channels.length > 1) {
    for (let index = 0; index < channels[0].length; index++) {
      let [power, sum] = [0, 0];
      for (const channel of channels) {
        power += channel[index] ** 2;
        sum += channel[index];
      }
      ofChannels += power / channels.length;
      ofAverage += (sum / channels.length) ** 2;
    }
  }
  if (ofAverage >= CANCELLED_POWER * ofChannels) return null;
  const share = Number((100 * Math.sqrt(ofAverage / ofChannels)).toPrecision(2));
  return `the channels cancel each other, their average has ${share} % of their level; take one of them alone`;
}
