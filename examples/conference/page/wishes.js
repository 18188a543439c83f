// What the server is asked for of each received picture: no more than is seen of it.

const CALM = 200; // ms without a change before the server is told
const LEAST = 90; // lines; each further step is twice as many, so that small changes ask for nothing new
const MOST = 2_880; // lines; above there is no bound
const ENLARGED = 1.1; // a picture may be shown so much larger than it is

export class Wishes {
  #videos;
  #tell;
  #timer = 0;
  #fixed = new WeakMap();
  #sizes = new ResizeObserver(() => this.changed());

  // `videos` returns the elements that show what is received; `tell` is given what is wanted of which
  // track: a Map of `{ maxHeight, paused }`.
  constructor(videos, tell) {
    this.#videos = videos;
    this.#tell = tell;
    document.addEventListener('visibilitychange', () => this.changed());
  }

  // Follows the size of an element as long as it is there.
  watch(video) {
    this.#sizes.observe(video);
    video.addEventListener('resize', () => this.changed()); // the picture's, such as a phone that is turned
  }

  // Something is shown in another way.
  changed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#speak(), CALM);
  }

  // Wishes this of a track from now on, however it is shown.
  fix(track, wish) {
    this.#fixed.set(track, wish);
    this.#speak();
  }

  #speak() {
    const wishes = new Map();
    for (const video of this.#videos()) {
      // An element shows the first track of its stream.
      for (const [at, track] of (video.srcObject?.getVideoTracks() ?? []).entries()) {
        wishes.set(track, this.#fixed.get(track) ?? (at === 0 ? wishOf(video) : wish(null, true)));
      }
    }
    this.#tell(wishes);
  }
}

const wish = (maxHeight, paused = false) => ({ maxHeight, paused });

function wishOf(video) {
  const { clientWidth, clientHeight, videoWidth, videoHeight } = video;
  const unseen = document.hidden && document.pictureInPictureElement !== video;
  if (unseen || clientWidth * clientHeight === 0) return wish(null, true);
  // The picture covers its element: what lies outside it counts as well.
  const covering = videoWidth > 0 ? clientWidth * videoHeight / videoWidth : 0;
  return wish(stepFor(Math.max(clientHeight, covering) * devicePixelRatio));
}

function stepFor(lines) {
  let step = LEAST;
  while (step * ENLARGED < lines) step *= 2;
  return step > MOST ? null : step;
}
