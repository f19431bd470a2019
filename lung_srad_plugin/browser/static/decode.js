// Audio files to samples at their own rate, as libsndfile reads them.

export class InputError extends Error {}

// Returns {channels: [Float32Array], rate, note}. `note` says where the rate is not the file's own.
export async function decode(bytes) {
  if (bytes.byteLength === 0) throw new InputError("the file is empty");
  const view = new DataView(bytes);
  if (tag(view, 0) === "RIFF" && tag(view, 8) === "WAVE") {
    const found = readWav(view);
    if (found !== null) return found;
  }
  const rate = declaredRate(view);
  // The browser resamples to the rate of the context, so that must be the file's.
  const fallback = 48000;
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, rate ?? fallback).decodeAudioData(bytes);
  } catch {
    throw new InputError("this browser cannot read it as audio; expected WAV, FLAC, MP3, OGG or M4A");
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, index) => buffer.getChannelData(index));
  const note = rate === null
    ? `the file's sample rate was not found, so the browser resampled it to ${fallback} Hz before the model's own ` +
      "resampling; results can differ a little from those of lung-srad classify"
    : null;
  return { channels, rate: buffer.sampleRate, note };
}

function tag(view, offset, length = 4) {
  if (offset + length > view.byteLength) return "";
  return String.fromCharCode(...new Uint8Array(view.buffer, offset, length));
}

const READERS = {
  "1:8": [1, (view, at) => (view.getUint8(at) - 128) / 128],
  "1:16": [2, (view, at) => view.getInt16(at, true) / 32768],
  "1:24": [3, (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608],
  "1:32": [4, (view, at) => view.getInt32(at, true) / 2147483648],
  "3:32": [4, (view, at) => view.getFloat32(at, true)],
  "3:64": [8, (view, at) => view.getFloat64(at, true)],
};

// Returns null for encodings that are left to the browser, such as ADPCM.
function readWav(view) {
  let format = null;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const name = tag(view, at);
    let size = view.getUint32(at + 4, true);
    const body = at + 8;
    if (name === "fmt " && body + 16 <= view.byteLength) {
      let code = view.getUint16(body, true);
      if (code === 0xfffe && size >= 26) code = view.getUint16(body + 24, true);
      format = { code, count: view.getUint16(body + 2, true), rate: view.getUint32(body + 4, true),
        bits: view.getUint16(body + 14, true) };
    } else if (name === "data") {
      if (format === null) throw new InputError("the WAV file has samples before its format; write it again");
      const reader = READERS[`${format.code}:${format.bits}`];
      if (reader === undefined || format.count === 0) return null;
      size = Math.min(size, view.byteLength - body);
      return { ...samples(view, body, size, format.count, ...reader), rate: format.rate, note: null };
    }
    at = body + size + (size % 2);
  }
  throw new InputError("the WAV file holds no samples");
}

function samples(view, body, size, count, width, read) {
  const frames = Math.floor(size / (width * count));
  const channels = Array.from({ length: count }, () => new Float32Array(frames));
  for (let frame = 0, at = body; frame < frames; frame++) {
    for (let channel = 0; channel < count; channel++, at += width) channels[channel][frame] = read(view, at);
  }
  return { channels };
}

const MP3_RATES = { 3: [44100, 48000, 32000], 2: [22050, 24000, 16000], 0: [11025, 12000, 8000] };

// The sample rate that the header of a FLAC, Ogg, MP3 or MP4 file states, or null.
function declaredRate(view) {
  let rate = null;
  const start = tag(view, 0, 3) === "ID3" && view.byteLength > 10 ? 10 + syncsafe(view, 6) : 0;
  if (tag(view, start) === "fLaC" && view.byteLength > start + 21) {
    rate = (view.getUint8(start + 18) << 12) | (view.getUint8(start + 19) << 4) | (view.getUint8(start + 20) >> 4);
  } else if (tag(view, 0) === "OggS") {
    const packet = 27 + view.getUint8(26);
    if (tag(view, packet + 1, 6) === "vorbis") rate = view.getUint32(packet + 12, true);
    else if (tag(view, packet, 8) === "OpusHead") rate = 48000;
    else if (tag(view, packet + 9) === "fLaC") {
      const at = packet + 27;
      rate = (view.getUint8(at) << 12) | (view.getUint8(at + 1) << 4) | (view.getUint8(at + 2) >> 4);
    }
  } else if (tag(view, 4) === "ftyp") {
    rate = movieRate(view);
  } else {
    rate = frameRate(view, start);
  }
  return rate !== null && rate >= 3000 && rate <= 768000 ? rate : null;
}

function syncsafe(view, at) {
  return [0, 1, 2, 3].reduce((sum, index) => sum * 128 + (view.getUint8(at + index) & 127), 0);
}

// The first frame header of MPEG audio.
function frameRate(view, start) {
  const end = Math.min(view.byteLength - 4, start + 65536);
  for (let at = start; at < end; at++) {
    if (view.getUint8(at) !== 0xff || (view.getUint8(at + 1) & 0xe0) !== 0xe0) continue;
    const version = (view.getUint8(at + 1) >> 3) & 3;
    const layer = (view.getUint8(at + 1) >> 1) & 3;
    const bitrate = view.getUint8(at + 2) >> 4;
    const rate = MP3_RATES[version]?.[(view.getUint8(at + 2) >> 2) & 3];
    if (layer !== 0 && bitrate !== 15 && bitrate !== 0 && rate !== undefined) return rate;
  }
  return null;
}

// The time scale of the sound track (mdhd of the track whose handler is soun), which encoders set to the sample rate.
function movieRate(view) {
  let scale = null;
  let rate = null;
  const walk = (from, to) => {
    for (let at = from; at + 8 <= to; ) {
      const size = view.getUint32(at);
      const name = tag(view, at + 4);
      const end = size === 0 ? to : Math.min(at + size, to);
      if (size !== 0 && size < 8) return;
      if (["moov", "trak", "mdia"].includes(name)) walk(at + 8, end);
      if (name === "mdhd" && at + 32 <= to) scale = view.getUint32(at + (view.getUint8(at + 8) === 1 ? 28 : 20));
      if (name === "hdlr" && tag(view, at + 16) === "soun") rate = scale;
      at = end;
    }
  };
  walk(0, view.byteLength);
  return rate;
}
