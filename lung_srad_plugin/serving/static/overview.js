// The table of files: a click on a row shows that recording.
element.addEventListener('click', (event) => {
  const button = event.target.closest('tr')?.querySelector('button[data-index]');
  if (button) trigger('select', { index: Number(button.dataset.index) });
});
