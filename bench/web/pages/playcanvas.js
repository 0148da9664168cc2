// A streamed SOG in PlayCanvas: the coarsest level first, then down to the finest, as SuperSplat's viewer does.

import * as pc from 'playcanvas';
import { cameraOf } from './camera.js';

const { content, eye, target, fov } = cameraOf();
const COARSEST = 6; // level of the scene
const canvas = document.getElementById('canvas');
const device = await pc.createGraphicsDevice(canvas, { deviceTypes: ['webgl2'], antialias: false });
const options = new pc.AppOptions();
options.graphicsDevice = device;
options.componentSystems = [pc.RenderComponentSystem, pc.CameraComponentSystem, pc.GSplatComponentSystem];
options.resourceHandlers = [pc.TextureHandler, pc.ContainerHandler, pc.GSplatHandler];
const app = new pc.AppBase(canvas);
app.init(options);
app.setCanvasFillMode(pc.FILLMODE_FILL_WINDOW);
app.setCanvasResolution(pc.RESOLUTION_AUTO);
app.start();

const camera = new pc.Entity('camera');
camera.addComponent('camera', { clearColor: new pc.Color(0, 0, 0), fov, nearClip: 0.01, farClip: 1000, toneMapping: pc.TONEMAP_LINEAR });
app.root.addChild(camera);
camera.setPosition(eye[0], -eye[1], -eye[2]);
camera.lookAt(target[0], -target[1], -target[2]);

const asset = new pc.Asset('scene', 'gsplat', { url: content });
app.assets.add(asset);
app.assets.load(asset);
asset.ready(() => {
  const splats = new pc.Entity('splats');
  splats.addComponent('gsplat', { asset, unified: true, lodBaseDistance: 1e6 });
  splats.setLocalEulerAngles(180, 0, 0);
  app.root.addChild(splats);
  const { gsplat } = splats;
  app.scene.gsplat.lodUnderfillLimit = COARSEST; // what is there is shown until the finer level is
  gsplat.lodRangeMin = gsplat.lodRangeMax = COARSEST;
  let step = 0;
  app.systems.gsplat.on('frame:ready', (_camera, _layer, ready, loading) => {
    if (!ready || loading > 0) return;
    if (step === 0) gsplat.lodRangeMin = 0;
    else if (step === 20) performance.mark('loaded'); // it says so in some frames before it asks for more
    step++;
  });
});
