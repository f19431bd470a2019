// Files that are too large are taken out of what was dropped, each with a message, so that the others are classified.
const told = element.querySelector('.too-large');
const keepSmall = (files) => {
  const list = new DataTransfer();
  const large = [...files].filter((file) => file.size > props.bytes || !list.items.add(file));
  told.replaceChildren(...large.map((file) => {
    const line = document.createElement('p');
    line.className = 'problem';
    line.textContent = `${file.name}: ${(file.size / 1e6).toFixed(1)} MB, more than the ${props.bytes / 1e6} MB that this ` +
      'page takes; drop a shorter recording, or a compressed one such as FLAC';
    return line;
  }));
  return large.length ? list.files : null;
};
document.addEventListener('change', (event) => {
  if (!event.target.matches?.('#lung-files input[type=file]')) return;
  const small = keepSmall(event.target.files);
  if (small === null) return;
  event.target.files = small;
  if (!small.length) event.stopImmediatePropagation();
}, true);
document.addEventListener('drop', (event) => {
  if (!event.target.closest?.('#lung-files')) return;
  const small = keepSmall(event.dataTransfer.files);
  if (small === null) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const input = document.querySelector('#lung-files input[type=file]');
  if (!small.length || !input) return;
  input.files = small;
  input.dispatchEvent(new Event('change', { bubbles: true }));
}, true);
