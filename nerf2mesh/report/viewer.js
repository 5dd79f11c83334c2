// A small glTF viewer with no dependencies: reads one plain GLB (no compression extensions), draws it with WebGL 2.
// glTF axes: +Y up, +Z front. The page gives a canvas and the GLB as base64 in a script element.
"use strict";

function readGlb(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const jsonLength = view.getUint32(12, true);
  const json = JSON.parse(new TextDecoder().decode(bytes.subarray(20, 20 + jsonLength)));
  return { json, binary: bytes.subarray(28 + jsonLength) };
}

function readAccessor({ json, binary }, index) {
  const accessor = json.accessors[index], piece = json.bufferViews[accessor.bufferView];
  const arrays = { 5120: Int8Array, 5121: Uint8Array, 5122: Int16Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
  const Type = arrays[accessor.componentType];
  const width = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 }[accessor.type];
  const start = (piece.byteOffset || 0) + (accessor.byteOffset || 0), bytesPer = Type.BYTES_PER_ELEMENT;
  const stride = piece.byteStride || width * bytesPer, out = new Type(accessor.count * width);
  for (let i = 0; i < accessor.count; i++) {
    const at = start + i * stride;
    out.set(new Type(binary.slice(at, at + width * bytesPer).buffer), i * width);
  }
  if (!accessor.normalized) return { data: out, width };
  const scale = { 5120: 127, 5121: 255, 5122: 32767, 5123: 65535 }[accessor.componentType];
  return { data: Float32Array.from(out, (value) => value / scale), width };
}

function nodeMatrices(json) {
  const found = [];
  const compose = (node) => {
    if (node.matrix) return node.matrix;
    const [x, y, z, w] = node.rotation || [0, 0, 0, 1], [a, b, c] = node.scale || [1, 1, 1], t = node.translation || [0, 0, 0];
    return [
      a * (1 - 2 * (y * y + z * z)), a * 2 * (x * y + z * w), a * 2 * (x * z - y * w), 0,
      b * 2 * (x * y - z * w), b * (1 - 2 * (x * x + z * z)), b * 2 * (y * z + x * w), 0,
      c * 2 * (x * z + y * w), c * 2 * (y * z - x * w), c * (1 - 2 * (x * x + y * y)), 0, t[0], t[1], t[2], 1];
  };
  const walk = (index, parent) => {
    const node = json.nodes[index], matrix = multiply(parent, compose(node));
    if (node.mesh !== undefined) found.push([json.meshes[node.mesh], matrix]);
    (node.children || []).forEach((child) => walk(child, matrix));
  };
  const scene = json.scenes[json.scene || 0];
  scene.nodes.forEach((index) => walk(index, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]));
  return found;
}

function multiply(a, b) {
  const out = new Array(16).fill(0);
  for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++) for (let k = 0; k < 4; k++) out[c * 4 + r] += a[k * 4 + r] * b[c * 4 + k];
  return out;
}

function placed(positions, m, isPoint) {
  const out = new Float32Array(positions.length);
  for (let i = 0; i < positions.length; i += 3) {
    for (let r = 0; r < 3; r++) {
      out[i + r] = m[r] * positions[i] + m[4 + r] * positions[i + 1] + m[8 + r] * positions[i + 2] + (isPoint ? m[12 + r] : 0);
    }
  }
  return out;
}

function smoothNormals(positions, indices) {
  const normals = new Float32Array(positions.length);
  for (let i = 0; i < indices.length; i += 3) {
    const [a, b, c] = [indices[i] * 3, indices[i + 1] * 3, indices[i + 2] * 3];
    const u = [0, 1, 2].map((k) => positions[b + k] - positions[a + k]), v = [0, 1, 2].map((k) => positions[c + k] - positions[a + k]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const at of [a, b, c]) for (let k = 0; k < 3; k++) normals[at + k] += n[k];
  }
  return normals;
}

function edges(indices) {
  const seen = new Set(), out = [];
  for (let i = 0; i < indices.length; i += 3) {
    for (const [a, b] of [[0, 1], [1, 2], [2, 0]]) {
      const p = indices[i + a], q = indices[i + b], key = p < q ? p * 67108864 + q : q * 67108864 + p;
      if (!seen.has(key)) { seen.add(key); out.push(p, q); }
    }
  }
  return Uint32Array.from(out);
}

const VERTEX = `#version 300 es
layout(location=0) in vec3 position; layout(location=1) in vec3 normal; layout(location=2) in vec2 uv; layout(location=3) in vec4 color;
uniform mat4 projection; uniform mat4 view; out vec3 v_normal; out vec2 v_uv; out vec4 v_color; out vec3 v_eye;
void main() { vec4 eye = view * vec4(position, 1.0); v_eye = eye.xyz; v_normal = normal; v_uv = uv; v_color = color;
  gl_Position = projection * eye; }`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 v_normal; in vec2 v_uv; in vec4 v_color; in vec3 v_eye; out vec4 result;
uniform sampler2D image; uniform mat4 view; uniform vec4 factor; uniform int mode; uniform float textured;
vec3 linear(vec3 c) { return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c)); }
vec3 encoded(vec3 c) { c = clamp(c, 0.0, 1.0); return mix(c * 12.92, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c)); }
void main() {
  vec3 n = normalize(v_normal); n = dot(mat3(view) * n, -v_eye) < 0.0 && !gl_FrontFacing ? -n : n;
  vec3 albedo = v_color.rgb * factor.rgb * mix(vec3(1.0), linear(texture(image, v_uv).rgb), textured);
  if (mode == 1) { result = vec4(encoded(albedo), 1.0); return; }
  if (mode == 2) { result = vec4(n * 0.5 + 0.5, 1.0); return; }
  if (mode == 4) { result = vec4(0.10, 0.42, 0.75, 1.0); return; }
  vec3 base = mode == 3 ? vec3(0.80) : albedo;
  vec3 e = normalize(mat3(view) * n);
  float key = max(dot(e, normalize(vec3(0.45, 0.7, 0.6))), 0.0), fill = max(dot(e, normalize(vec3(-0.7, 0.1, 0.5))), 0.0);
  float sky = 0.5 + 0.5 * n.y;
  result = vec4(encoded(base * (0.72 * key + 0.22 * fill + mix(0.22, 0.46, sky))), 1.0);
}`;
const MODES = { shaded: 0, albedo: 1, normals: 2, wireframe: 3 };

const STEPS = { w: [1, 0, 0], s: [-1, 0, 0], a: [0, -1, 0], d: [0, 1, 0], arrowup: [1, 0, 0], arrowdown: [-1, 0, 0], arrowleft: [0, 0, -1], arrowright: [0, 0, 1] };
const WALK_M_PER_S = 1.8, BODY_M = 0.25, KNEE_M = 0.5;

// Whether a ray meets one of a part's triangles within `reach` (Moeller and Trumbore 1997).
function hits({ positions: p, indices }, from, way, reach) {
  for (let i = 0; i < indices.length; i += 3) {
    const [a, b, c] = [indices[i] * 3, indices[i + 1] * 3, indices[i + 2] * 3];
    const u = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]], v = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
    const h = [way[1] * v[2] - way[2] * v[1], way[2] * v[0] - way[0] * v[2], way[0] * v[1] - way[1] * v[0]];
    const det = u[0] * h[0] + u[1] * h[1] + u[2] * h[2];
    if (Math.abs(det) < 1e-12) continue;
    const s = [from[0] - p[a], from[1] - p[a + 1], from[2] - p[a + 2]], f = (s[0] * h[0] + s[1] * h[1] + s[2] * h[2]) / det;
    if (f < 0 || f > 1) continue;
    const q = [s[1] * u[2] - s[2] * u[1], s[2] * u[0] - s[0] * u[2], s[0] * u[1] - s[1] * u[0]];
    const g = (way[0] * q[0] + way[1] * q[1] + way[2] * q[2]) / det, t = (v[0] * q[0] + v[1] * q[1] + v[2] * q[2]) / det;
    if (g >= 0 && f + g <= 1 && t > 0 && t < reach) return true;
  }
  return false;
}

class Viewer {
  constructor(canvas, bytes) {
    this.walking = false; this.held = new Set(); this.place = null;
    this.canvas = canvas; this.mode = "shaded"; this.spinning = true; this.last = 0;
    this.gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: false, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("this browser has no WebGL 2");
    this.program = this.link();
    this.glb = readGlb(bytes);
    this.load();
    this.reset();
    this.listen();
  }

  link() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source); gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    return program;
  }

  load() {
    const { json } = this.glb, low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    this.parts = [];
    this.tour = ((json.asset || {}).extras || {}).walk || null;
    for (const [mesh, matrix] of nodeMatrices(json)) for (const primitive of mesh.primitives) {
      const positions = placed(readAccessor(this.glb, primitive.attributes.POSITION).data, matrix, true);
      for (let i = 0; i < positions.length; i++) { low[i % 3] = Math.min(low[i % 3], positions[i]); high[i % 3] = Math.max(high[i % 3], positions[i]); }
      this.parts.push(Object.assign(this.upload(primitive, positions, matrix), { name: mesh.name || "" }));
    }
    this.center = low.map((value, k) => (value + high[k]) / 2);
    this.radius = Math.hypot(...low.map((value, k) => high[k] - value)) / 2 || 1;
  }

  upload(primitive, positions, matrix) {
    const gl = this.gl, n = positions.length / 3, names = primitive.attributes, array = gl.createVertexArray();
    const indices = primitive.indices !== undefined ? Uint32Array.from(readAccessor(this.glb, primitive.indices).data) : Uint32Array.from({ length: n }, (_, i) => i);
    const normals = names.NORMAL !== undefined ? placed(readAccessor(this.glb, names.NORMAL).data, matrix, false) : smoothNormals(positions, indices);
    gl.bindVertexArray(array);
    const put = (slot, data, width) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer()); gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(slot); gl.vertexAttribPointer(slot, width, gl.FLOAT, false, 0, 0);
    };
    put(0, positions, 3); put(1, normals, 3);
    if (names.TEXCOORD_0 !== undefined) put(2, Float32Array.from(readAccessor(this.glb, names.TEXCOORD_0).data), 2);
    gl.vertexAttrib4f(3, 1, 1, 1, 1);
    if (names.COLOR_0 !== undefined) { const c = readAccessor(this.glb, names.COLOR_0); put(3, Float32Array.from(c.data), c.width); }
    const buffers = [indices, edges(indices)].map((data) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer); gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, data, gl.STATIC_DRAW);
      return [buffer, data.length];
    });
    const material = (this.glb.json.materials || [])[primitive.material] || {}, pbr = material.pbrMetallicRoughness || {};
    const part = { array, positions, indices, triangles: buffers[0], lines: buffers[1], factor: pbr.baseColorFactor || [1, 1, 1, 1], texture: null };
    if (pbr.baseColorTexture) this.loadTexture(part, pbr.baseColorTexture.index);
    return part;
  }

  async loadTexture(part, index) {
    const gl = this.gl, { json, binary } = this.glb, image = json.images[json.textures[index].source], piece = json.bufferViews[image.bufferView];
    const start = piece.byteOffset || 0, blob = new Blob([binary.slice(start, start + piece.byteLength)], { type: image.mimeType });
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    part.texture = texture;
    this.draw();
  }

  reset() { this.azimuth = 0.5; this.elevation = 0.26; this.zoom = 1; this.draw(); }

  listen() {
    const canvas = this.canvas, fingers = new Map();
    const stop = () => { this.spinning = false; };
    canvas.addEventListener("pointerdown", (e) => { stop(); fingers.set(e.pointerId, e); canvas.setPointerCapture(e.pointerId); });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (e) => fingers.delete(e.pointerId));
    canvas.addEventListener("pointermove", (e) => {
      const before = fingers.get(e.pointerId);
      if (!before) return;
      if (fingers.size === 1) this.turn(e.clientX - before.clientX, e.clientY - before.clientY);
      else {
        const other = [...fingers.values()].find((finger) => finger.pointerId !== e.pointerId);
        const reach = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
        this.scale(reach(before) / Math.max(reach(e), 1));
      }
      fingers.set(e.pointerId, e);
    });
    canvas.addEventListener("wheel", (e) => { e.preventDefault(); stop(); this.scale(Math.exp(Math.sign(e.deltaY) * 0.1)); }, { passive: false });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keyup", (e) => this.held.delete(e.key.toLowerCase()));
    canvas.addEventListener("blur", () => this.held.clear());
    canvas.addEventListener("keydown", (e) => {
      if (this.walking) { if (STEPS[e.key.toLowerCase()]) { e.preventDefault(); this.hold(e.key.toLowerCase()); } return; }
      const step = { ArrowLeft: [-20, 0], ArrowRight: [20, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] }[e.key];
      if (step) { e.preventDefault(); stop(); this.turn(...step); }
      if (e.key === "+" || e.key === "-") { stop(); this.scale(e.key === "+" ? 0.9 : 1.1); }
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!still) requestAnimationFrame((time) => this.spin(time));
  }

  // First person: at eye height on the floors, walls stop the way. heading 0 looks along -Z, 90 degrees along +X.
  walk(on) {
    this.walking = on && this.tour !== null; this.spinning = false; this.held.clear();
    if (this.walking && !this.place) { const [x, y, z] = this.tour.start; this.place = [x, y + this.tour.eye_height_m, z]; this.heading = (this.tour.heading_deg || 0) * Math.PI / 180; this.pitch = 0; }
    this.canvas.dataset.mode = this.walking ? "walk" : "orbit";
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
    const reach = length + BODY_M, from = [this.place[0], this.place[1] - this.tour.eye_height_m + KNEE_M, this.place[2]];
    const way = [x / length, 0, z / length];
    return !this.parts.some((part) => hits(part, from, way, reach));
  }

  turn(x, y) {
    if (this.walking) { this.heading += x * 0.005; this.pitch = Math.max(-1.4, Math.min(1.4, this.pitch - y * 0.005)); this.draw(); return; }
    this.azimuth -= x * 0.01; this.elevation = Math.max(-1.55, Math.min(1.55, this.elevation + y * 0.01)); this.draw();
  }
  scale(by) { if (this.walking) return; this.zoom = Math.max(0.15, Math.min(6, this.zoom * by)); this.draw(); }
  spin(time) {
    if (!this.spinning) return;
    if (this.last) this.azimuth += Math.min(time - this.last, 100) * 0.0005;
    this.last = time;
    this.draw();
    requestAnimationFrame((next) => this.spin(next));
  }

  camera() {
    if (this.walking) {
      const [sh, ch, sp, cp] = [Math.sin(this.heading), Math.cos(this.heading), Math.sin(this.pitch), Math.cos(this.pitch)];
      const back = [-sh * cp, -sp, ch * cp], right = [ch, 0, sh], up = [-sh * sp, cp, ch * sp], at = (v) => -(v[0] * this.place[0] + v[1] * this.place[1] + v[2] * this.place[2]);
      return [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0, at(right), at(up), at(back), 1];
    }
    const [ca, sa, ce, se] = [Math.cos(this.azimuth), Math.sin(this.azimuth), Math.cos(this.elevation), Math.sin(this.elevation)];
    const back = [ce * sa, se, ce * ca], right = [ca, 0, -sa], up = [-se * sa, ce, -se * ca], distance = this.radius * 2.9 * this.zoom;
    const dot = (v) => v[0] * this.center[0] + v[1] * this.center[1] + v[2] * this.center[2];
    return [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0, -dot(right), -dot(up), -dot(back) - distance, 1];
  }

  projection(aspect) {
    const focal = 1 / Math.tan(this.walking ? 0.62 : 0.36), near = this.walking ? 0.05 : this.radius * 0.02, far = this.radius * 40;
    const [fx, fy] = aspect > 1 ? [focal / aspect, focal] : [focal, focal * aspect];
    return [fx, 0, 0, 0, 0, fy, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0];
  }

  draw() {
    const gl = this.gl, canvas = this.canvas, ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [Math.max(1, Math.round(canvas.clientWidth * ratio)), Math.max(1, Math.round(canvas.clientHeight * ratio))];
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    gl.viewport(0, 0, width, height); gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST); gl.depthFunc(gl.LEQUAL); gl.enable(gl.POLYGON_OFFSET_FILL); gl.polygonOffset(1, 1);
    gl.useProgram(this.program);
    const at = (name) => gl.getUniformLocation(this.program, name);
    gl.uniformMatrix4fv(at("projection"), false, this.projection(width / height));
    gl.uniformMatrix4fv(at("view"), false, this.camera());
    for (const part of this.parts) {
      if (this.tour && !this.walking && part.name.startsWith("ceiling")) continue;  // from above one looks into the rooms
      gl.bindVertexArray(part.array); gl.bindTexture(gl.TEXTURE_2D, part.texture);
      gl.uniform1f(at("textured"), part.texture ? 1 : 0); gl.uniform4fv(at("factor"), part.factor);
      gl.uniform1i(at("mode"), MODES[this.mode]);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.triangles[0]);
      gl.drawElements(gl.TRIANGLES, part.triangles[1], gl.UNSIGNED_INT, 0);
      if (this.mode !== "wireframe") continue;
      gl.uniform1i(at("mode"), 4);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.lines[0]);
      gl.drawElements(gl.LINES, part.lines[1], gl.UNSIGNED_INT, 0);
    }
  }
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
  set(location.hash === "#walk");
  if (!viewer.walking) viewer.spinning = true;
}

for (const figure of document.querySelectorAll(".viewer")) {
  try {
    const text = figure.querySelector("script").textContent;
    const viewer = new Viewer(figure.querySelector("canvas"), Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    figure.viewer = viewer;
    for (const button of figure.querySelectorAll("button[data-mode]")) button.addEventListener("click", () => {
      figure.querySelectorAll("button[data-mode]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      viewer.mode = button.dataset.mode;
      viewer.draw();
    });
    if (viewer.tour) addWalkButton(figure, viewer);
    figure.dataset.state = "ready";
  } catch (error) {
    figure.dataset.state = "failed";
    figure.querySelector(".hint").textContent = "The mesh cannot be shown: " + error.message;
  }
}
