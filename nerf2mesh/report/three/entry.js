// What viewer.js uses of three.js: `make three` bundles it into three.min.js as the global THREE.
export {
  AnimationMixer, Box3, ClampToEdgeWrapping, Color, DirectionalLight, DoubleSide, HemisphereLight, LineBasicMaterial, LineSegments, MeshBasicMaterial, MeshLambertMaterial,
  MeshNormalMaterial, MirroredRepeatWrapping, PerspectiveCamera, PMREMGenerator, Raycaster, RepeatWrapping, Scene, Sphere, Spherical, Texture,
  Vector3, WebGLRenderer, WireframeGeometry,
} from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
export { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
export { RoomEnvironment } from "three/addons/environments/RoomEnvironment.js";
