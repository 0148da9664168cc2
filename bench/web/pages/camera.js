// The scene and the camera that the address names.

export function cameraOf() {
  const given = new URLSearchParams(location.search);
  const values = given.get('camera').split(',').map(Number);
  return { content: given.get('content'), eye: values.slice(0, 3), target: values.slice(3, 6), fov: values[6] };
}
