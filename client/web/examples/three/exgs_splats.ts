// An .exgs scene as an object of three.js, with colours of degree 0.
//
// It draws the splats itself, as instanced quads. Spark's SplatMesh would do it too, but packs colours
// and shapes (28 to 52 dB against the CPU rasterizer), brings 1 MB of code, and would need a mesh for
// each group, since groups come and go as the scene sharpens. Here a group is a range of indices.

import * as THREE from 'three';
import { openScene, type PartAdded, type Scene, type SceneUpdate, type View } from '@exgs/client';

const ROW = 1024; // texels: 256 splats of 4
const SH0 = 0.28209479177387814; // the constant basis function
const FLIP = new THREE.Matrix4().makeScale(1, -1, -1); // three.js looks along -z, y up

const VERTEX = `
  uniform highp sampler2D data; uniform vec2 focal, half_size;
  in uint splat; out vec4 rgba; out vec2 at;
  void main() {
    ivec2 place = ivec2(int(splat % 256u) * 4, int(splat / 256u));
    vec4 mean = texelFetch(data, place, 0), a = texelFetch(data, place + ivec2(1, 0), 0);
    vec4 b = texelFetch(data, place + ivec2(2, 0), 0);
    rgba = vec4(texelFetch(data, place + ivec2(3, 0), 0).rgb, mean.w);
    vec4 eye = modelViewMatrix * vec4(mean.xyz, 1.0);
    vec2 most = 1.3 * half_size / focal * -eye.z;
    vec3 t = vec3(clamp(eye.xy, -most, most), eye.z);
    mat3 covariance = mat3(a.x, a.y, a.z, a.y, a.w, b.x, a.z, b.x, b.y);
    mat3 J = mat3(focal.x / -t.z, 0.0, 0.0, 0.0, focal.y / -t.z, 0.0, focal * t.xy / (t.z * t.z), 0.0);
    mat3 T = J * mat3(modelViewMatrix);
    mat3 c = T * covariance * transpose(T);
    float x = c[0][0] + 0.3, y = c[1][1] + 0.3, xy = c[0][1];
    float middle = 0.5 * (x + y), wide = length(vec2(0.5 * (x - y), xy));
    vec2 axis = normalize(vec2(xy, middle + wide - x) + vec2(1e-9, 0.0));
    vec2 size = sqrt(max(vec2(middle + wide, middle - wide), 0.1));
    at = position.xy * 3.33;
    vec2 pixels = at.x * size.x * axis + at.y * size.y * vec2(axis.y, -axis.x);
    gl_Position = projectionMatrix * eye;
    gl_Position.xy += pixels / half_size * gl_Position.w;
    if (-eye.z < 0.2) gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
  }`;
const FRAGMENT = `
  in vec4 rgba; in vec2 at; out vec4 color;
  void main() {
    float alpha = min(0.999, rgba.a * exp(-0.5 * dot(at, at)));
    if (alpha < 1.0 / 255.0) discard;
    color = vec4(rgba.rgb * alpha, alpha);
  }`;

interface Kept { readonly part: PartAdded; readonly first: number; readonly shown: Float32Array } // by child: its amplification, 0 if hidden

/** Up to `count` quads, each with the number of its splat. */
function quads(count: number): THREE.InstancedBufferGeometry {
  const geometry = new THREE.InstancedBufferGeometry();
  geometry.setAttribute('position', new THREE.Float32BufferAttribute([-1, -1, 0, 1, -1, 0, -1, 1, 0, 1, 1, 0], 3));
  geometry.setIndex([0, 1, 2, 2, 1, 3]);
  const order = new THREE.InstancedBufferAttribute(new Uint32Array(count), 1);
  order.gpuType = THREE.IntType;
  geometry.setAttribute('splat', order);
  geometry.instanceCount = 0;
  return geometry;
}

export class ExgsSplats extends THREE.Mesh<THREE.InstancedBufferGeometry, THREE.RawShaderMaterial> {
  readonly scene: Scene;
  view: View | null = null; // what the scene has been told
  readonly #parts = new Map<number, Kept>();
  readonly #sorted = new THREE.Matrix4(); // the view that the order is of
  #texels = new Float32Array(4 * ROW);
  #end = 0;
  #isChanged = false;

  constructor(source: string | Blob) {
    super(quads(256), new THREE.RawShaderMaterial({
      glslVersion: THREE.GLSL3,
      vertexShader: `precision highp float; uniform mat4 modelViewMatrix, projectionMatrix; in vec3 position;${VERTEX}`,
      fragmentShader: `precision highp float;${FRAGMENT}`,
      uniforms: { data: { value: null }, focal: { value: new THREE.Vector2() }, half_size: { value: new THREE.Vector2() } },
      transparent: true, depthWrite: false, blending: THREE.CustomBlending, blendSrc: THREE.OneFactor,
      blendDst: THREE.OneMinusSrcAlphaFactor, side: THREE.DoubleSide,
    }));
    this.frustumCulled = false;
    this.rotation.x = Math.PI; // scenes are x right, y down, z forward
    this.scene = openScene(source);
    this.scene.addEventListener('update', ({ detail }) => this.#apply(detail));
    this.onBeforeRender = (renderer, _world, camera) => this.#look(renderer, camera as THREE.PerspectiveCamera);
  }

  override dispose(): void {
    this.scene.dispose();
    this.material.uniforms['data']!.value?.dispose();
    this.material.dispose();
    this.geometry.dispose();
  }

  #apply({ added, refined, groups, dropped }: SceneUpdate): void {
    for (const part of added) {
      const kept = { part, first: this.#end, shown: new Float32Array(part.children.length) };
      this.#parts.set(part.key, kept);
      this.#end += part.count; // places of dropped parts are not used again: this is an example
    }
    const dirty = new Set(added.map(({ key }) => key));
    for (const { key, data } of refined) {
      const kept = this.#parts.get(key);
      if (!kept) continue;
      this.#parts.set(key, { ...kept, part: { ...kept.part, data: { ...kept.part.data, ...data } } });
      dirty.add(key);
    }
    for (const { key, child, visible, amplification } of groups) {
      const kept = this.#parts.get(key);
      if (!kept) continue;
      kept.shown[child] = visible ? amplification : 0;
      dirty.add(key);
    }
    for (const key of dropped) this.#parts.delete(key);
    for (const key of dirty) this.#write(this.#parts.get(key));
    this.#isChanged = true;
  }

  #write(kept: Kept | undefined): void {
    if (!kept) return;
    const { first, shown, part: { children, count, data } } = kept;
    if (16 * (first + count) > this.#texels.length) this.#grow(2 * (first + count));
    const [turn, quat, scale] = [new THREE.Matrix4(), new THREE.Quaternion(), new THREE.Vector3()];
    let [child, left] = [0, children[0]!];
    for (let i = 0; i < count; i++, left--) {
      while (left === 0) left = children[++child]!;
      const [w, x, y, z] = data.quats.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
      scale.fromArray(data.scales, 3 * i).multiplyScalar(shown[child]! || 1);
      const m = turn.makeRotationFromQuaternion(quat.set(x, y, z, w)).scale(scale).elements;
      const c = (p: number, q: number): number => m[p]! * m[q]! + m[p + 4]! * m[q + 4]! + m[p + 8]! * m[q + 8]!;
      const color = [0, 1, 2].map((k) => 0.5 + SH0 * data.sh0[3 * i + k]!);
      this.#texels.set(data.means.subarray(3 * i, 3 * i + 3), 16 * (first + i));
      this.#texels.set([data.opacities[i]!, c(0, 0), c(0, 1), c(0, 2), c(1, 1), c(1, 2), c(2, 2), 0, 0, ...color, 0], 16 * (first + i) + 3);
    }
  }

  /** Makes room for so many splats: their texels and their order. */
  #grow(count: number): void {
    const texels = new Float32Array(4 * ROW * Math.ceil(count / 256));
    texels.set(this.#texels);
    this.#texels = texels;
    this.geometry.dispose();
    this.geometry = quads(texels.length / 16);
  }

  #look(renderer: THREE.WebGLRenderer, camera: THREE.PerspectiveCamera): void {
    const { x: width, y: height } = renderer.getDrawingBufferSize(new THREE.Vector2());
    const { focal, half_size, data } = this.material.uniforms as Record<string, THREE.IUniform>;
    const f = camera.projectionMatrix.elements;
    focal!.value.set((f[0]! * width) / 2, (f[5]! * height) / 2);
    half_size!.value.set(width / 2, height / 2);
    const view = FLIP.clone().multiply(camera.matrixWorldInverse).multiply(this.matrixWorld);
    if (!this.#isChanged && view.equals(this.#sorted)) return;
    if (this.#isChanged) {
      data!.value?.dispose();
      data!.value = new THREE.DataTexture(this.#texels, ROW, this.#texels.length / 4 / ROW, THREE.RGBAFormat, THREE.FloatType);
      data!.value.needsUpdate = true;
    }
    this.material.uniformsNeedUpdate = true;
    if (!view.equals(this.#sorted)) {
      const K = Float64Array.of(focal!.value.x, 0, width / 2, 0, focal!.value.y, height / 2, 0, 0, 1);
      this.view = { viewmat: Float64Array.from(view.clone().transpose().elements), K, width, height };
      this.scene.look(this.view);
    }
    this.#sorted.copy(view);
    this.#isChanged = false;
    this.#sort(view.elements);
  }

  /** The shown splats, the farthest first. */
  #sort(m: readonly number[]): void {
    const shown: number[] = [];
    for (const { part, first, shown: groups } of this.#parts.values()) {
      let at = first;
      part.children.forEach((count, child) => {
        for (let i = 0; groups[child] && i < count; i++) shown.push(at + i);
        at += count;
      });
    }
    const depth = (i: number): number => m[2]! * this.#texels[16 * i]! + m[6]! * this.#texels[16 * i + 1]! + m[10]! * this.#texels[16 * i + 2]!;
    const depths = new Float32Array(this.#end);
    for (const i of shown) depths[i] = depth(i);
    const order = Uint32Array.from(shown).sort((a, b) => depths[b]! - depths[a]!);
    const attribute = this.geometry.getAttribute('splat');
    attribute.array.set(order);
    attribute.needsUpdate = true;
    this.geometry.instanceCount = order.length;
  }
}
