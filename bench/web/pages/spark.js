// An .spz in Spark, with its defaults: ?content=URL&camera=ex,ey,ez,fx,fy,fz,fov (degrees; x right, y down).

import * as THREE from 'three';
import { SparkRenderer, SplatMesh } from '@sparkjsdev/spark';
import { cameraOf } from './camera.js';

const { content, eye, target, fov } = cameraOf();
const renderer = new THREE.WebGLRenderer({ antialias: false });
renderer.setSize(innerWidth, innerHeight);
document.body.append(renderer.domElement);
const scene = new THREE.Scene();
scene.add(new SparkRenderer({ renderer }));
const camera = new THREE.PerspectiveCamera(fov, innerWidth / innerHeight, 0.01, 1000);
camera.position.set(eye[0], -eye[1], -eye[2]);
camera.lookAt(target[0], -target[1], -target[2]);
const splats = new SplatMesh({ url: content });
splats.rotation.x = Math.PI;
scene.add(splats);
splats.initialized.then(() => performance.mark('loaded'));
renderer.setAnimationLoop(() => renderer.render(scene, camera));
