// Plays the animations of a GLB, of morph targets or of a skeleton: choose a clip, play, pause, scrub.
"use strict";

class Player {
  constructor(viewer, clips) {
    this.viewer = viewer; this.clips = clips; this.playing = false; this.time = 0;
    this.mixer = new THREE.AnimationMixer(viewer.root);
    viewer.meshes.forEach((mesh) => { mesh.frustumCulled = false; });  // bounds are those of the rest pose
    this.changed = () => {};
    this.choose(0);
  }

  get duration() { return this.clip.duration; }

  choose(index) {
    this.mixer.stopAllAction();
    this.clip = this.clips[index];
    this.mixer.clipAction(this.clip).reset().play();
    this.seek(0);
  }

  // seconds; the end of a loop is shown as the end, not as its begin
  seek(seconds) {
    this.time = Math.max(0, Math.min(seconds, this.duration));
    this.mixer.setTime(Math.min(this.time, this.duration * (1 - 1e-6)));
    this.viewer.draw();
    this.changed();
  }

  play(on) {
    this.playing = on;
    this.changed();
    if (!on || this.ticking) return;
    this.ticking = true;
    const tick = (now, before) => {
      this.ticking = this.playing && this.viewer.canvas.isConnected;
      if (!this.ticking) return;
      if (before !== undefined) this.seek((this.time + Math.min(now - before, 100) / 1000) % this.duration);
      requestAnimationFrame((next) => tick(next, now));
    };
    requestAnimationFrame((now) => tick(now));
  }
}

function addPlayer(figure, viewer) {
  const player = new Player(viewer, viewer.clips), bar = document.createElement("div");
  const button = document.createElement("button"), clips = document.createElement("select");
  const scrub = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 1000, value: 0 });
  const clock = document.createElement("span");
  bar.className = "bar player";
  clips.setAttribute("aria-label", "Animation");
  scrub.setAttribute("aria-label", "Time");
  viewer.clips.forEach((clip, k) => clips.append(new Option(clip.name || "animation " + (k + 1), k)));
  player.changed = () => {
    button.textContent = player.playing ? "Pause" : "Play";
    scrub.value = player.duration > 0 ? 1000 * player.time / player.duration : 0;
    clock.textContent = player.time.toFixed(2) + " / " + player.duration.toFixed(2) + " s";
  };
  button.addEventListener("click", () => player.play(!player.playing));
  clips.addEventListener("change", () => player.choose(Number(clips.value)));
  scrub.addEventListener("input", () => { player.play(false); player.seek(scrub.value / 1000 * player.duration); });
  bar.append(button, clips, scrub, clock);
  figure.querySelector(".bar").after(bar);
  player.changed();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) player.play(true);
  viewer.player = player;
}
