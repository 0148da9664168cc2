// A page of three.js with an .exgs scene and a box of its own in it: ?content=URL names the scene.

import * as THREE from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import { ExgsSplats } from './exgs_splats.ts';

const renderer = new THREE.WebGLRenderer();
renderer.outputColorSpace = THREE.LinearSRGBColorSpace; // splats hold what is to be shown
renderer.setSize(innerWidth, innerHeight);
document.body.append(renderer.domElement);

const world = new THREE.Scene();
const camera = new THREE.PerspectiveCamera(50, innerWidth / innerHeight, 0.05, 1000);
const controls = new OrbitControls(camera, renderer.domElement);
const url = new URLSearchParams(location.search).get('content') ?? '/sample.exgs';
const splats = new ExgsSplats(url);
world.add(splats);

splats.scene.addEventListener('open', ({ detail: { home, box } }) => {
  const center = new THREE.Vector3(...box.low).add(new THREE.Vector3(...box.high)).multiplyScalar(0.5);
  const eye = home ? new THREE.Vector3(...home.eye) : center.clone().add(new THREE.Vector3(0, 0, -4));
  if (home) {
    camera.fov = THREE.MathUtils.radToDeg(home.fovY);
    center.copy(eye).addScaledVector(new THREE.Vector3(...home.forward).normalize(), 2);
  }
  splats.updateMatrixWorld();
  camera.position.copy(splats.localToWorld(eye));
  controls.target.copy(splats.localToWorld(center));
  camera.updateProjectionMatrix();
});
splats.scene.addEventListener('complete', () => performance.mark('exgs:complete'));

renderer.setAnimationLoop(() => {
  controls.update();
  renderer.render(world, camera);
});
Object.assign(window, { splats }); // for the console
