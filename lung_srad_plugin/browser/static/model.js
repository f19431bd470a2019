// The model: its description, and its session in a worker.

export async function loadModel() {
  const folder = new URL("./", import.meta.url).href;
  const fetchFile = async (name) => {
    const answer = await fetch(folder + name).catch(() => null);
    if (!answer?.ok) throw new Error(`${name} cannot be loaded; serve the whole folder`);
    return answer;
  };
  const [description, bytes] = await Promise.all([
    fetchFile("model.json").then((answer) => answer.json()),
    fetchFile("model.onnx").then((answer) => answer.arrayBuffer()),
  ]);
  const ask = startWorker(`import ${JSON.stringify(`${folder}worker.js`)};`);
  await ask({ folder, model: new Uint8Array(bytes) });
  return { ...description, run: (samples) => ask({ samples }) };
}

// Returns a function that sends a message and resolves with the answer to it.
function startWorker(code) {
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const worker = new Worker(address, { type: "module" });
  const waiting = new Map();
  let count = 0;
  worker.addEventListener("message", ({ data: { number, result, error } }) => {
    const { resolve, reject } = waiting.get(number);
    waiting.delete(number);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  });
  worker.addEventListener("error", (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "the model's worker cannot be started"));
    waiting.clear();
  });
  return (message) => new Promise((resolve, reject) => {
    count += 1;
    waiting.set(count, { resolve, reject });
    worker.postMessage({ ...message, number: count });
  });
}
