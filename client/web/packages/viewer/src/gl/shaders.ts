// The sources of the programs. Formulas: spec/format.md section 8, as gsplat 1.5.3 computes them.
// project: slot -> projected splat, two words of four; splat: quads in order; present: to the canvas.

import { ROW_BITS, ROW_SLOTS, shCoefficients, shLayers, type ShPrecision } from '../splats/layout.ts';
import { LOG_LEAST, LOG_SPAN } from '../splats/pack.ts';

/** The first lines of every shader. */
export const HEAD = `#version 300 es
precision highp float;precision highp int;precision highp sampler2D;
precision highp usampler2D;precision highp usampler2DArray;
`;

/** Depths are encoded as log2, as a share of this range. */
export const DEPTH_LOG2_LEAST = -7;
export const DEPTH_LOG2_SPAN = 24;

/** One triangle that covers the picture. */
export const FULL_VERTEX = `${HEAD}
void main(){gl_Position=vec4(vec2((gl_VertexID&1)*4-1,(gl_VertexID&2)*2-1),0.,1.);}`;

// Real spherical harmonics of coefficients 1 to 15 for the direction d, with their products.
const BASIS = [
  '-.4886025119029199*d.y',
  '.4886025119029199*d.z',
  '-.4886025119029199*d.x',
  '1.0925484305920792*d.x*d.y',
  '-1.0925484305920792*d.y*d.z',
  '.31539156525252005*(2.*dd.z-dd.x-dd.y)',
  '-1.0925484305920792*d.x*d.z',
  '.5462742152960396*(dd.x-dd.y)',
  '-.5900435899266435*d.y*(3.*dd.x-dd.y)',
  '2.890611442640554*d.x*d.y*d.z',
  '-.4570457994644658*d.y*(4.*dd.z-dd.x-dd.y)',
  '.3731763325901154*d.z*(2.*dd.z-3.*dd.x-3.*dd.y)',
  '-.4570457994644658*d.x*(4.*dd.z-dd.x-dd.y)',
  '1.445305721320277*d.z*(dd.x-dd.y)',
  '-.5900435899266435*d.x*(dd.x-3.*dd.y)',
];

/** GLSL that adds the higher harmonics to `sum`: fetches each layer once, then one line a term. */
function harmonics(degree: number, precision: ShPrecision): string {
  const lines = ['vec3 dd=d*d;'];
  const perWord = precision === 'half' ? 2 : 4;
  const skipped = precision === 'half' ? 0 : 2; // bytes of the scale
  for (let layer = 0; layer < shLayers(degree, precision); layer++) {
    lines.push(`uvec4 s${layer}=texelFetch(sh,ivec3(at,${layer}),0);`);
  }
  const values = skipped + 3 * shCoefficients(degree);
  const unpack = precision === 'half' ? 'unpackHalf2x16' : 'bytes';
  const type = precision === 'half' ? 'vec2' : 'vec4';
  for (let word = 0; word * perWord < values; word++) {
    lines.push(`${type} w${word}=${unpack}(s${word >> 2}.${'xyzw'[word & 3]});`);
  }
  const value = (index: number): string => {
    const at = index + skipped;
    return `w${Math.floor(at / perWord)}.${'xyzw'[at % perWord]}`;
  };
  if (precision === 'byte') lines.push('float scale=unpackHalf2x16(s0.x).x;');
  const factor = precision === 'half' ? '' : '*scale';
  lines.push('vec3 more=vec3(0.);');
  for (let k = 0; k < shCoefficients(degree); k++) {
    const triple = `vec3(${value(3 * k)},${value(3 * k + 1)},${value(3 * k + 2)})`;
    lines.push(`more+=${BASIS[k]}*${triple};`);
  }
  lines.push(`sum+=share*more${factor};`);
  return lines.join('\n');
}

/**
 * The projection of every slot of a block. Group: x opacity, y scale, z share of the harmonics.
 * Out 0: pixel x, y, first half axis of one sigma (f32). Out 1: length of the second, opacity (f32),
 * red green, blue log2-depth (f16). Opacity 0: not drawn.
 */
export function projectFragment(degree: number, precision: ShPrecision): string {
  const sh =
    degree === 0
      ? ''
      : `float share=group.z;if(share>0.){vec3 d=normalize(mean-eye);\n${harmonics(degree, precision)}}`;
  return `${HEAD}
uniform usampler2DArray base,sh;uniform usampler2D groupOf;uniform sampler2D groups;
uniform mat4 view;uniform vec2 focal,center,size;uniform vec3 eye;uniform int firstRow;
uniform bool antialiased;
layout(location=0) out uvec4 out0;layout(location=1) out uvec4 out1;
vec4 bytes(uint w){return vec4(ivec4(w<<24u,w<<16u,w<<8u,w)>>24)/127.;}
float component(uint bits){return (float(bits&32767u)-16383.)/16383.*.7071067811865476;}
vec4 rotation(uint low,uint high){
  vec3 r=vec3(component(low),component(low>>15u),component(high));
  float left=sqrt(max(0.,1.-dot(r,r)));uint index=low>>30u;
  return index==0u?vec4(left,r):index==1u?vec4(r.x,left,r.yz):index==2u?vec4(r.xy,left,r.z):vec4(r,left);
}
float scaleOf(uint code){return exp(float(code&65535u)*${LOG_SPAN / 65535}+float(${LOG_LEAST}));}
void main(){
  ivec2 at=ivec2(gl_FragCoord.xy)-ivec2(0,firstRow);
  out0=uvec4(0u);out1=uvec4(0u);
  uint g=texelFetch(groupOf,at,0).x;
  vec4 group=texelFetch(groups,ivec2(int(g)&1023,int(g)>>10),0);
  if(group.x<=0.)return;
  uvec4 A=texelFetch(base,ivec3(at,0),0),B=texelFetch(base,ivec3(at,1),0);
  float opacity=float(A.w&65535u)/65535.*group.x;
  if(opacity<1./255.)return;
  vec3 mean=uintBitsToFloat(A.xyz);
  vec3 p=(view*vec4(mean,1.)).xyz;
  if(!(p.z>=.01&&p.z<=1e10))return;
  vec4 q=rotation(B.x,B.y);
  vec3 s=vec3(scaleOf(B.y>>16u),scaleOf(B.z),scaleOf(B.z>>16u))*group.y;
  float w=q.x;vec3 v=q.yzw;
  mat3 R=mat3(1.-2.*(v.y*v.y+v.z*v.z),2.*(v.x*v.y+w*v.z),2.*(v.x*v.z-w*v.y),
              2.*(v.x*v.y-w*v.z),1.-2.*(v.x*v.x+v.z*v.z),2.*(v.y*v.z+w*v.x),
              2.*(v.x*v.z+w*v.y),2.*(v.y*v.z-w*v.x),1.-2.*(v.x*v.x+v.y*v.y));
  mat3 axes=mat3(view)*R;axes[0]*=s.x;axes[1]*=s.y;axes[2]*=s.z;
  // The Jacobian at the mean, or at the margin where the mean is beyond it
  vec2 margin=.15*size/focal;
  vec2 toward=clamp(p.xy/p.z,-center/focal-margin,(size-center)/focal+margin);
  vec2 pixels=focal/p.z;
  vec3 jx=pixels.x*(vec3(1.,0.,0.)-toward.x*vec3(0.,0.,1.))*axes;
  vec3 jy=pixels.y*(vec3(0.,1.,0.)-toward.y*vec3(0.,0.,1.))*axes;
  // C = [jx.jx, jx.jy; jx.jy, jy.jy] + 0.3; its determinant without cancellation
  vec3 cr=cross(jx,jy);
  float xx=dot(jx,jx),yy=dot(jy,jy),xy=dot(jx,jy),bare=dot(cr,cr);
  float det=bare+.3*(xx+yy)+.09;
  xx+=.3;yy+=.3;
  if(antialiased){opacity*=sqrt(bare/det);if(opacity<1./255.)return;}
  float half_=.5*abs(xx-yy),root=sqrt(half_*half_+xy*xy),major=.5*(xx+yy)+root;
  if(!(major<1e30))return;
  vec2 e=xx>=yy?vec2(half_+root,xy):vec2(xy,half_+root);
  float len=length(e);e=len>0.?e/len:vec2(1.,0.);
  vec2 a=e*sqrt(major);float b=sqrt(det/major);
  float r=sqrt(2.*log(255.*opacity));
  vec2 pixel=focal*p.xy/p.z+center;
  vec2 reach=r*vec2(length(vec2(a.x,e.y*b)),length(vec2(a.y,e.x*b)));
  if(any(lessThan(pixel+reach,vec2(0.)))||any(greaterThan(pixel-reach,size)))return;
  vec3 sum=vec3(unpackHalf2x16(A.w).y,unpackHalf2x16(B.w))*.28209479177387814;
  ${sh}
  vec3 color=min(max(vec3(0.),sum+.5),vec3(6e4));
  float depth=(log2(p.z)-float(${DEPTH_LOG2_LEAST}))/float(${DEPTH_LOG2_SPAN});
  out0=uvec4(floatBitsToUint(pixel),floatBitsToUint(a));
  out1=uvec4(floatBitsToUint(b),floatBitsToUint(opacity),packHalf2x16(color.xy),packHalf2x16(vec2(color.z,depth)));
}`;
}

/** GLSL: `place` puts a corner of a quad, `batch` to an instance, and says whether it is drawn. */
export function splatCorner(batch: number): string {
  return `bool place(out ivec2 at,out uvec4 q1,out float opacity){
  int n=gl_InstanceID*${batch}+(gl_VertexID>>2);
  if(n>=count)return false;
  int slot=int(texelFetch(order,ivec2(n&${ROW_SLOTS - 1},n>>${ROW_BITS}),0).x);
  at=ivec2(slot&${ROW_SLOTS - 1},slot>>${ROW_BITS});
  q1=texelFetch(projected1,at,0);
  opacity=uintBitsToFloat(q1.y);
  if(opacity<=0.)return false;
  vec4 q0=uintBitsToFloat(texelFetch(projected0,at,0));
  float r=sqrt(2.*log(255.*opacity))+1e-3;
  vec2 corner=vec2(float(gl_VertexID&1)*2.-1.,float(gl_VertexID&2)-1.)*r;
  vec2 b=vec2(q0.w,-q0.z)*(uintBitsToFloat(q1.x)/length(q0.zw));
  vec2 pixel=q0.xy+q0.zw*corner.x+b*corner.y;
  sigma=corner;
  gl_Position=vec4(pixel.x/size.x*2.-1.,1.-pixel.y/size.y*2.,0.,1.);
  return true;
}`;
}

/** Quads, `batch` to an instance; with `depth` the colour is the depth, for picking. */
export function splatVertex(batch: number, depth: boolean): string {
  const color = depth
    ? 'vec3(clamp(unpackHalf2x16(q1.w).y,0.,1.),0.,0.)'
    : 'vec3(unpackHalf2x16(q1.z),unpackHalf2x16(q1.w).x)';
  return `${HEAD}
uniform usampler2D projected0,projected1,order;uniform vec2 size;uniform int count;uniform float range;
out vec2 sigma;flat out vec4 color;
${splatCorner(batch)}
void main(){
  gl_Position=vec4(0.,0.,2.,1.);
  ivec2 at;uvec4 q1;float opacity;
  if(place(at,q1,opacity))color=vec4(${color}/range,opacity);
}`;
}

export const SPLAT_FRAGMENT = `${HEAD}
in vec2 sigma;flat in vec4 color;out vec4 result;
void main(){
  float alpha=min(.999,color.a*exp(-.5*dot(sigma,sigma)));
  if(alpha<1./255.)discard;
  result=vec4(color.rgb*alpha,alpha);
}`;

export const PRESENT_FRAGMENT = `${HEAD}
uniform sampler2D picture;uniform float range;out vec4 result;
void main(){result=vec4(clamp(range*texelFetch(picture,ivec2(gl_FragCoord.xy),0).rgb,0.,1.),1.);}`;
