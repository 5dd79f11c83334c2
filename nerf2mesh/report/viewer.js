// The mesh in the page, on three.js: the page gives a canvas and the GLB as base64 in a script element.
// glTF axes: +Y up, +Z front. `figure.ready` is a promise of the figure's Viewer.
"use strict";

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// three.js lies in the page as gzip and base64.
async function loadThree() {
  const packed = new Blob([bytesOf(document.getElementById("three").textContent)]);
  const script = document.createElement("script");
  script.textContent = await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(script);
}

const STEPS = { w: [1, 0, 0], s: [-1, 0, 0], a: [0, -1, 0], d: [0, 1, 0], arrowup: [1, 0, 0], arrowdown: [-1, 0, 0], arrowleft: [0, 0, -1], arrowright: [0, 0, 1] };
const TURNS = { ArrowLeft: [-20, 0], ArrowRight: [20, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] };
const WALK_M_PER_S = 1.8, BODY_M = 0.25, KNEE_M = 0.5;
const HALF_VIEW = 0.36, HALF_VIEW_INSIDE = 0.62;

// Textures from the GLB's own bytes: three.js would fetch a blob, which pages around this one may forbid (VS Code's do).
const Textures = (parser) => ({
  name: "textures",
  async loadTexture(index) {
    const { json } = parser, { source, sampler } = json.textures[index], image = json.images[source];
    if (image.bufferView === undefined) return null;
    const bytes = await parser.getDependency("bufferView", image.bufferView);
    const keep = { imageOrientation: "none", premultiplyAlpha: "none", colorSpaceConversion: "none" };
    const texture = new THREE.Texture(await createImageBitmap(new Blob([bytes], { type: image.mimeType }), keep));
    const { wrapS = 10497, wrapT = 10497 } = (json.samplers || [])[sampler] || {};
    const wraps = { 33071: THREE.ClampToEdgeWrapping, 33648: THREE.MirroredRepeatWrapping, 10497: THREE.RepeatWrapping };
    Object.assign(texture, { flipY: false, wrapS: wraps[wrapS], wrapT: wraps[wrapT], needsUpdate: true });
    parser.associations.set(texture, { textures: index });
    return texture;
  },
});

// Three surroundings, as render/relight.py has them: [toward, color] of broad lamps, all in glTF's axes and linear light.
const SURROUNDINGS = {
  studio: { even: [0.35, 0.35, 0.35], lamps: [[[-0.7, 0.6, 0.6], [1.2, 1.2, 1.2]], [[0.8, 0.3, 0.5], [0.6, 0.6, 0.6]], [[0.1, 0.4, -0.9], [0.5, 0.5, 0.5]]] },
  sky: { sky: [[0.45, 0.6, 0.9], [0.5, 0.42, 0.35]], lamps: [[[-0.5, 0.8, 0.4], [0.5, 0.48, 0.42]]] },
  evening: { even: [0.2, 0.2, 0.26], lamps: [[[-0.9, 0.15, 0.5], [2.2, 1.3, 0.6]], [[0.6, 0.6, -0.6], [0.15, 0.25, 0.5]]] },
};
const EXPOSURE = 3;

// A picture of them all around, divided by EXPOSURE so that nothing is clipped; row 0 is above.
function pictureOf(name, height = 64) {
  const { even, sky, lamps } = SURROUNDINGS[name], canvas = document.createElement("canvas"), paint = canvas.getContext("2d");
  Object.assign(canvas, { width: 2 * height, height });
  const image = paint.createImageData(canvas.width, height), encode = (x) => 255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);
  for (let row = 0, at = 0; row < height; row++) for (let column = 0; column < canvas.width; column++, at += 4) {
    const up = Math.PI * (0.5 - (row + 0.5) / height), turn = 2 * Math.PI * ((column + 0.5) / canvas.width - 0.5);
    const to = [Math.cos(up) * Math.cos(turn), Math.sin(up), Math.cos(up) * Math.sin(turn)];
    for (let c = 0; c < 3; c++) {
      let light = sky ? sky[0][c] * (0.5 + 0.5 * to[1]) + sky[1][c] * (0.5 - 0.5 * to[1]) : even[c];
      for (const [toward, color] of lamps) light += color[c] * Math.max(0, to.reduce((sum, x, i) => sum + x * toward[i], 0) / Math.hypot(...toward)) ** 2;
      image.data[at + c] = encode(Math.min(1, light / EXPOSURE));
    }
    image.data[at + 3] = 255;
  }
  paint.putImageData(image, 0, 0);
  return canvas;
}

class Viewer {
  static async open(canvas, glb) {
    const loader = new THREE.GLTFLoader().register(Textures);
    return new Viewer(canvas, await loader.parseAsync(glb.buffer, ""));
  }

  constructor(canvas, gltf) {
    this.canvas = canvas; this.walking = false; this.held = new Set(); this.place = null; this.mode = "shaded";
    this.tour = ((gltf.asset || {}).extras || {}).walk || null;
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
    this.renderer.setClearColor(0, 0);
    this.scene = new THREE.Scene();
    this.scene.add(gltf.scene);
    this.root = gltf.scene; this.clips = (gltf.animations || []).filter((clip) => clip.duration > 0);
    this.meshes = [];
    gltf.scene.traverse((item) => { if (item.isMesh) this.meshes.push(item); });
    this.meshes.forEach((mesh) => { mesh.looks = looks(mesh); });
    const sphere = new THREE.Box3().setFromObject(gltf.scene).getBoundingSphere(new THREE.Sphere());
    this.center = sphere.center; this.radius = sphere.radius || 1;
    this.camera = new THREE.PerspectiveCamera();
    this.light();
    this.controls = new THREE.OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { minDistance: this.radius * 0.4, maxDistance: this.radius * 18, autoRotateSpeed: -4.8 });
    this.controls.addEventListener("change", () => this.draw());
    this.controls.addEventListener("start", () => { this.spinning = false; });
    this.reset();
    this.listen();
    this.spinning = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  // Lights that turn with the camera, and a sky. Lambert's law has a factor 1 / pi in three.js.
  light() {
    const sky = new THREE.HemisphereLight(0xffffff, new THREE.Color().setScalar(0.48), 0.46 * Math.PI);
    this.scene.add(sky, this.camera);
    this.lamps = [sky];
    for (const [strength, ...from] of [[0.72, 0.45, 0.7, 0.6], [0.22, -0.7, 0.1, 0.5]]) {
      const lamp = new THREE.DirectionalLight(0xffffff, strength * Math.PI);
      lamp.position.set(...from);
      this.camera.add(lamp, lamp.target);
      this.lamps.push(lamp);
    }
    const metals = this.meshes.map((mesh) => mesh.material).filter((material) => material.metalness > 0);
    if (metals.length === 0) return;  // metal shows what is around it
    const maker = new THREE.PMREMGenerator(this.renderer), room = maker.fromScene(new THREE.RoomEnvironment(), 0.04).texture;
    metals.forEach((material) => { material.envMap = room; reflectsOnly(material); });
    maker.dispose();
  }

  // Other surroundings in place of the viewer's own lights; null puts these back.
  relight(name) {
    this.rooms = this.rooms || {};
    if (name && !this.rooms[name]) {
      const maker = new THREE.PMREMGenerator(this.renderer), picture = new THREE.Texture(pictureOf(name));
      Object.assign(picture, { mapping: 303, colorSpace: "srgb", needsUpdate: true });  // 303: all around, for reflections
      this.rooms[name] = maker.fromEquirectangular(picture).texture;
      maker.dispose();
    }
    this.lamps.forEach((lamp) => { lamp.visible = !name; });
    for (const { looks } of this.meshes) {
      const own = looks.shaded();
      if (own.userData.room === undefined) own.userData.room = own.envMap || null;
      if (own.userData.around) own.userData.around.value = name ? 1 : 0;
      Object.assign(own, { envMap: name ? this.rooms[name] : own.userData.room, envMapIntensity: name ? EXPOSURE : 1, needsUpdate: true });
    }
    this.surroundings = name;
    this.draw();
  }

  reset() {
    this.controls.target.copy(this.center);
    this.camera.position.setFromSphericalCoords(this.radius * 2.9, Math.PI / 2 - 0.26, 0.5).add(this.center);
    this.controls.update();
    this.draw();
  }

  set spinning(on) {
    this.controls.autoRotate = on && !this.walking;
    if (!this.controls.autoRotate || this.turning) return;
    this.turning = true;
    const spin = (time, before) => {
      this.turning = this.controls.autoRotate && this.canvas.isConnected;
      if (!this.turning) return;
      if (before !== undefined) this.controls.update(Math.min(time - before, 100) / 1000);
      requestAnimationFrame((next) => spin(next, time));
    };
    requestAnimationFrame((time) => spin(time));
  }
  get spinning() { return this.controls.autoRotate; }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("dblclick", () => { if (!this.walking) this.reset(); });
    canvas.addEventListener("pointermove", (e) => { if (this.walking && e.buttons) this.turn(e.movementX, e.movementY); });
    canvas.addEventListener("keyup", (e) => this.held.delete(e.key.toLowerCase()));
    canvas.addEventListener("blur", () => this.held.clear());
    canvas.addEventListener("keydown", (e) => {
      if (this.walking) { if (STEPS[e.key.toLowerCase()]) { e.preventDefault(); this.hold(e.key.toLowerCase()); } return; }
      if (TURNS[e.key]) { e.preventDefault(); this.turn(...TURNS[e.key]); }
      if (e.key === "+" || e.key === "-") this.scale(e.key === "+" ? 0.9 : 1.1);
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  show(mode) { this.mode = mode; this.draw(); }

  // First person: at eye height on the floors, walls stop the way. heading 0 looks along -Z, 90 degrees along +X.
  walk(on) {
    this.walking = on && this.tour !== null; this.spinning = false; this.held.clear();
    if (this.walking && !this.place) { const [x, y, z] = this.tour.start; this.place = [x, y + this.tour.eye_height_m, z]; this.heading = (this.tour.heading_deg || 0) * Math.PI / 180; this.pitch = 0; }
    if (this.walking) this.outside = this.camera.position.clone();
    else if (this.outside) this.camera.position.copy(this.outside);
    this.controls.enabled = !this.walking;
    this.canvas.dataset.mode = this.walking ? "walk" : "orbit";
    if (!this.walking) this.controls.update();
    this.draw();
  }

  hold(key) {
    const idle = this.held.size === 0;
    this.held.add(key);
    if (!idle) return;
    let last = performance.now();
    const tick = (time) => {
      if (!this.walking || this.held.size === 0) return;
      this.advance(Math.max(0, Math.min(time - last, 100)) / 1000);
      last = time;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  advance(seconds) {
    let [ahead, aside, turn] = [0, 0, 0];
    for (const key of this.held) { const s = STEPS[key]; ahead += s[0]; aside += s[1]; turn += s[2]; }
    this.heading += turn * 1.5 * seconds;
    const [s, c] = [Math.sin(this.heading), Math.cos(this.heading)], step = WALK_M_PER_S * seconds;
    const [x, z] = [(ahead * s + aside * c) * step, (-ahead * c + aside * s) * step];
    if (this.free(x, z)) { this.place[0] += x; this.place[2] += z; }
    else if (this.free(x, 0)) this.place[0] += x;
    else if (this.free(0, z)) this.place[2] += z;
    this.draw();
  }

  free(x, z) {
    const length = Math.hypot(x, z);
    if (length === 0) return false;
    const from = new THREE.Vector3(this.place[0], this.place[1] - this.tour.eye_height_m + KNEE_M, this.place[2]);
    const ray = new THREE.Raycaster(from, new THREE.Vector3(x / length, 0, z / length), 0, length + BODY_M);
    return ray.intersectObjects(this.meshes, false).length === 0;
  }

  // x, y: pixels of a drag
  turn(x, y) {
    if (this.walking) { this.heading += x * 0.005; this.pitch = Math.max(-1.4, Math.min(1.4, this.pitch - y * 0.005)); this.draw(); return; }
    const place = new THREE.Spherical().setFromVector3(this.camera.position.clone().sub(this.controls.target));
    place.theta -= x * 0.01; place.phi = Math.max(0.02, Math.min(Math.PI - 0.02, place.phi - y * 0.01));
    this.move(place);
  }
  scale(by) {
    if (this.walking) return;
    const place = new THREE.Spherical().setFromVector3(this.camera.position.clone().sub(this.controls.target));
    place.radius *= by;
    this.move(place);
  }
  move(place) {
    this.spinning = false;
    this.camera.position.setFromSpherical(place).add(this.controls.target);
    this.controls.update();
    this.draw();
  }

  look(aspect) {
    const camera = this.camera, half = Math.tan(this.walking ? HALF_VIEW_INSIDE : HALF_VIEW);
    const fov = 2 * Math.atan(aspect > 1 ? half : half / aspect) * 180 / Math.PI;
    Object.assign(camera, { fov, aspect, near: this.walking ? 0.05 : this.radius * 0.02, far: this.radius * 40 });
    camera.updateProjectionMatrix();
    if (!this.walking) return;
    camera.position.set(...this.place);
    camera.rotation.set(this.pitch, -this.heading, 0, "YXZ");
  }

  draw() {
    const canvas = this.canvas, [width, height] = [Math.max(1, canvas.clientWidth), Math.max(1, canvas.clientHeight)];
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.renderer.setSize(width, height, false);
    this.look(width / height);
    for (const mesh of this.meshes) {
      const named = mesh.name.startsWith("ceiling") || mesh.parent.name.startsWith("ceiling");
      mesh.visible = !(this.tour && !this.walking && named);  // from above one looks into the rooms
      mesh.material = mesh.looks[this.mode]();
      if (this.mode === "wireframe" && !mesh.edges && !moves(mesh)) mesh.add(mesh.edges = edges(mesh.geometry));
      if (mesh.edges) mesh.edges.visible = this.mode === "wireframe";
    }
    this.renderer.render(this.scene, this.camera);
  }
}

// The room that a metal mirrors lights nothing that is matte: the lamps do that. `around` says whether it should after all.
function reflectsOnly(material) {
  const around = { value: 0 }, end = "#include <lights_fragment_end>";
  material.userData.around = around;
  material.onBeforeCompile = (shader) => {
    shader.uniforms.around = around;
    shader.fragmentShader = "uniform float around;\n" + shader.fragmentShader.replace(end, "iblIrradiance *= around;\n" + end);
  };
}

// The materials of a mesh by the button's name, each made when it is first asked for.
function looks(mesh) {
  const own = mesh.material, sides = { side: THREE.DoubleSide };
  if (!mesh.geometry.attributes.normal) { mesh.geometry.computeVertexNormals(); own.flatShading = false; }
  own.side = THREE.DoubleSide;
  const flat = () => new THREE.MeshBasicMaterial({ ...sides, map: own.map, color: own.color, vertexColors: own.vertexColors });
  const grey = () => new THREE.MeshLambertMaterial({ ...sides, wireframe: moves(mesh), color: new THREE.Color().setScalar(0.8), polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
  const made = { shaded: own };
  const once = (name, make) => () => { made[name] = made[name] || make(); return made[name]; };
  return { shaded: once("shaded"), albedo: once("albedo", flat), normals: once("normals", worldNormals), wireframe: once("wireframe", grey) };
}

// Normals in the world's axes; three.js shows the camera's.
function worldNormals() {
  const material = new THREE.MeshNormalMaterial({ side: THREE.DoubleSide });
  material.onBeforeCompile = (shader) => {
    const turned = "normalize( ( vec4( normalize( normal ), 0.0 ) * viewMatrix ).xyz ) * 0.5";
    shader.fragmentShader = shader.fragmentShader.replace("normalize( normal ) * 0.5", turned);
  };
  return material;
}

// Whether an animation can bend the mesh: lines drawn over it would stay behind.
function moves(mesh) { return Boolean(mesh.isSkinnedMesh || mesh.morphTargetInfluences); }

function edges(geometry) {
  return new THREE.LineSegments(new THREE.WireframeGeometry(geometry), new THREE.LineBasicMaterial({ color: 0x1a6bbf }));
}

// The page's address ending in #walk begins inside.
function addWalkButton(figure, viewer) {
  const button = document.createElement("button"), hint = figure.querySelector(".hint"), before = hint.textContent;
  button.textContent = "Walk";
  const set = (on) => {
    viewer.walk(on);
    button.setAttribute("aria-pressed", String(on));
    hint.textContent = on ? "WASD or arrow keys to walk, drag to look around" : before;
    if (on) viewer.canvas.focus();
  };
  button.addEventListener("click", () => set(!viewer.walking));
  hint.before(button);
  if (location.hash === "#walk") set(true);
}

// Turns through the surroundings.
function addLightButton(figure, viewer) {
  const button = document.createElement("button"), names = [null, ...Object.keys(SURROUNDINGS)];
  button.textContent = "Light";
  button.title = "The viewer's own light, then three surroundings";
  button.addEventListener("click", () => {
    viewer.relight(names[(names.indexOf(viewer.surroundings || null) + 1) % names.length]);
    button.textContent = viewer.surroundings ? `Light: ${viewer.surroundings}` : "Light";
  });
  figure.querySelector(".hint").before(button);
}

async function bringToLife(figure, three) {
  try {
    await three;
    const data = bytesOf(figure.querySelector("script").textContent);
    const viewer = await Viewer.open(figure.querySelector("canvas"), data);
    for (const button of figure.querySelectorAll("button[data-mode]")) button.addEventListener("click", () => {
      figure.querySelectorAll("button[data-mode]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      viewer.show(button.dataset.mode);
    });
    addLightButton(figure, viewer);
    if (viewer.tour) addWalkButton(figure, viewer);
    if (viewer.clips.length) addPlayer(figure, viewer);
    figure.dataset.state = "ready";
    return viewer;
  } catch (error) {
    figure.dataset.state = "failed";
    figure.querySelector(".hint").textContent = "The mesh cannot be shown: " + error.message;
    throw error;
  }
}

{
  const figures = [...document.querySelectorAll(".viewer")], three = figures.length ? loadThree() : null;
  for (const figure of figures) {
    figure.ready = bringToLife(figure, three);
    figure.ready.catch(() => {});
  }
}
