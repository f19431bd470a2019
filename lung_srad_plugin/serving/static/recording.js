// A recording: a click on a time, or in the picture, plays the sound from there; a line in the picture follows the sound.
const sound = () => document.querySelector('#lung-sound audio');
const play = (seconds) => {
  const audio = sound();
  if (!audio) return;
  audio.currentTime = seconds;
  audio.play()?.catch(() => {});
};
element.addEventListener('click', (event) => {
  const jump = event.target.closest('[data-start]');
  if (jump) return play(Number(jump.dataset.start));
  const picture = event.target.closest('.picture');
  if (!picture) return;
  const { left, right, duration } = picture.dataset;
  const box = picture.getBoundingClientRect();
  const along = ((event.clientX - box.left) / box.width - left) / (right - left);
  if (along >= 0 && along <= 1) play(along * duration);
});
const follow = () => {
  const audio = sound();
  const picture = element.querySelector('.picture');
  const line = element.querySelector('.playhead');
  if (audio && picture && line) {
    const { left, right, duration } = picture.dataset;
    const along = Math.min(audio.currentTime / duration, 1);
    line.style.left = `${100 * (Number(left) + along * (right - left))}%`;
    line.hidden = audio.paused && audio.currentTime === 0;
  }
  requestAnimationFrame(follow);
};
follow();
