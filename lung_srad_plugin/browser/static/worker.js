// Runs the model beside the page. Started from a blob: such a worker inherits the page's Content-Security-Policy.

let ort = null;
let session = null;

async function load(folder, model) {
  ort = await import(`${folder}ort.wasm.bundle.min.mjs`);
  ort.env.wasm.numThreads = 1; // more need headers that a plain server does not send
  ort.env.wasm.proxy = false;
  ort.env.wasm.wasmPaths = { wasm: `${folder}ort-wasm-simd-threaded.wasm` };
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
}

async function run(samples) {
  const results = await session.run({
    waveforms: new ort.Tensor("float32", samples, [1, samples.length]),
    whole_recordings: new ort.Tensor("bool", [0], []),
  });
  const log_probs = Array.from(results.log_probs.data);
  const score = results.unlike_training_score ? results.unlike_training_score.data[0] : null;
  if (!log_probs.every(Number.isFinite) || (score !== null && !Number.isFinite(score))) {
    throw new Error("the model's result is not finite");
  }
  return { log_probs, score };
}

addEventListener("message", async ({ data }) => {
  try {
    const result = data.samples ? await run(data.samples) : await load(data.folder, data.model);
    postMessage({ number: data.number, result });
  } catch (error) {
    postMessage({ number: data.number, error: String(error?.message ?? error) });
  }
});
