// The sources of the programs that sharpen. They follow exgs.painter.detail and exgs.painter.bands, whose
// names they use. Pictures in between are not upside down: row 0 is the uppermost.

import { LEAST_PX } from '../gl/kinds.ts';
import { DEPTH_LOG2_LEAST, DEPTH_LOG2_SPAN, HEAD } from '../gl/shaders.ts';

export const CELL = 4; // pixels
const LEVELS = 5;
const BANDS = 9;
const COVERED = 1 - 0.5 / 255;
const GATE = [1 - COVERED, 0.15];

/** Layers of four features. */
export const FEATURE_LAYERS = 9;

/** Gain of each band before training. */
const FIRST_GAINS = [0.5, 0.6, 0.2];
const MOST = [2, 1]; // of a change of gain, of the pattern
const OUTPUT_SCALE = 4;

/** Half of the binomial filters from the middle on, and the distance of their samples. */
export const FILTERS = [
  [0.5, 0.25, 0, 1],
  [0.375, 0.25, 0.0625, 1],
  [0.375, 0.25, 0.0625, 2],
  [0.375, 0.25, 0.0625, 4],
  [0.375, 0.25, 0.0625, 8],
] as const;

const AT = 'ivec2 at=ivec2(gl_FragCoord.xy);';

/** The picture turned upright, without coverage. */
export const UPRIGHT = `${HEAD}
uniform sampler2D picture;uniform int height;uniform float range;out vec4 result;
void main(){${AT}result=vec4(range*texelFetch(picture,ivec2(at.x,height-1-at.y),0).rgb,1.);}`;

/** One direction of a filter; the edge is repeated. */
export const BLUR = `${HEAD}
uniform sampler2D picture;uniform ivec2 along;uniform vec3 weights;out vec4 result;
vec4 get(ivec2 p){return texelFetch(picture,clamp(p,ivec2(0),textureSize(picture,0)-1),0);}
void main(){${AT}
  result=weights.x*get(at)+weights.y*(get(at-along)+get(at+along))+weights.z*(get(at-2*along)+get(at+2*along));
}`;

const LEVEL_SAMPLERS = `uniform sampler2D ${Array.from({ length: LEVELS + 1 }, (_, i) => `level${i}`).join(',')};
const vec3 LUMINANCE=vec3(.299,.587,.114);ivec2 last;
vec3 get(sampler2D s,ivec2 p){return texelFetch(s,clamp(p,ivec2(0),last),0).rgb;}
float grey(sampler2D s,ivec2 p){return dot(get(s,p),LUMINANCE);}
`;

/** Cells: shares of leaves and proxies and pending harmonics, size; length, depth as log2 or -1000. */
export const CELL_KINDS = `${HEAD}
uniform sampler2D shares,sizes;uniform float median;
layout(location=0) out vec4 first;layout(location=1) out vec4 second;
float coded(float sum,float weight){
  float octaves=weight>1e-4?sum/max(weight,1e-4):0.;
  return (octaves+log2(float(${LEAST_PX}))-2.)/2.;
}
void main(){${AT}
  ivec2 size=textureSize(shares,0);first=second=vec4(0.);
  for(int y=0;y<${CELL};y++)for(int x=0;x<${CELL};x++){
    ivec2 p=min(${CELL}*at+ivec2(x,y),size-1);p.y=size.y-1-p.y;
    vec4 s=texelFetch(shares,p,0),z=texelFetch(sizes,p,0);
    vec3 kinds=clamp(vec3(s.a-s.x,s.x,s.y),0.,1.);
    float depth=s.a>.5?clamp((s.z/s.a*float(${DEPTH_LOG2_SPAN})+float(${DEPTH_LOG2_LEAST})-median)/2.,-2.,2.):0.;
    first+=vec4(2.*kinds-1.,coded(z.x,s.x));second+=vec4(coded(z.y,s.x),depth,0.,0.);
  }
  first/=float(${CELL * CELL});second/=float(${CELL * CELL});
}`;

/** Depth as log2 in the middle of each cell, -1000 where little is drawn. */
export const CELL_DEPTHS = `${HEAD}
uniform sampler2D shares;out vec4 result;
void main(){${AT}
  ivec2 size=textureSize(shares,0),p=min(${CELL}*at+${CELL / 2},size-1);
  vec4 s=texelFetch(shares,ivec2(p.x,size.y-1-p.y),0);
  result=vec4(s.a>.5?s.z/s.a*float(${DEPTH_LOG2_SPAN})+float(${DEPTH_LOG2_LEAST}):-1000.);
}`;

/** Features 0 to 15: the detail of each cell. */
export const DETAIL = `${HEAD}${LEVEL_SAMPLERS}
${Array.from({ length: CELL }, (_, i) => `layout(location=${i}) out vec4 row${i};`).join('')}
float detail(ivec2 p){return 10.*(grey(level0,p)-grey(level3,p));}
vec4 row(ivec2 p){return vec4(detail(p),detail(p+ivec2(1,0)),detail(p+ivec2(2,0)),detail(p+ivec2(3,0)));}
void main(){${AT}last=textureSize(level0,0)-1;at*=${CELL};
  ${Array.from({ length: CELL }, (_, i) => `row${i}=row(at+ivec2(0,${i}));`).join('')}
}`;

/** Features 16 to 27: energies twice, brightness, leaves; and the contrast. */
export const ENERGIES = `${HEAD}${LEVEL_SAMPLERS}
uniform sampler2D first;
${[0, 1, 2, 3].map((i) => `layout(location=${i}) out vec4 out${i};`).join('')}
vec4 coded(vec4 e,float least,float middle){return (log2(e+least)-middle)/2.;}
void main(){${AT}last=textureSize(level0,0)-1;
  vec4 e=vec4(0.);float coarse=0.,light=0.;
  for(int y=0;y<${CELL};y++)for(int x=0;x<${CELL};x++){
    ivec2 p=${CELL}*at+ivec2(x,y);
    ${Array.from({ length: LEVELS + 1 }, (_, i) => `float g${i}=grey(level${i},p);`).join('')}
    e+=abs(vec4(g0-g1,g1-g2,g2-g3,g3-g4));coarse+=abs(g4-g5);light+=g0;
  }
  e/=float(${CELL * CELL});coarse/=float(${CELL * CELL});light/=float(${CELL * CELL});
  vec4 plain=coded(e,exp2(-9.),-6.),faint=coded(e,exp2(-12.),-8.);
  vec4 last_=vec4(coded(vec4(coarse),exp2(-9.),-6.).x,coded(vec4(coarse),exp2(-12.),-8.).x,0.,0.);
  out0=plain;out1=vec4(last_.x,faint.xyz);
  out2=vec4(faint.w,last_.y,light-.5,texelFetch(first,at,0).x);
  out3=vec4(dot(e,vec4(1.))+coarse);
}`;

/** Features 28 to 32: the other kinds. */
export const OTHERS = `${HEAD}
uniform sampler2D first,second;layout(location=0) out vec4 out0;layout(location=1) out vec4 out1;
void main(){${AT}
  vec4 a=texelFetch(first,at,0),b=texelFetch(second,at,0);out0=vec4(a.yzw,b.x);out1=vec4(b.y,0.,0.,0.);
}`;

/** Output layers of one draw of a convolution: the weights of two fit into every device's buffers. */
export const LAYERS_AT_ONCE = 2;

export interface Convolution {
  readonly inputs: number; // layers of four channels
  readonly taps: number; // 9 or 1
  readonly dilation: number;
  readonly rectifies: boolean; // its input
  readonly adds: boolean; // to layers of the same kind
}

/** A convolution of layers of four channels; outside the picture are zeros. */
export function convolution({ inputs, taps, dilation, rectifies, adds }: Convolution): string {
  const reach = taps === 9 ? 1 : 0;
  const outputs = Array.from({ length: LAYERS_AT_ONCE }, (_, i) => i);
  return `${HEAD}precision highp sampler2DArray;
uniform sampler2DArray inputs,before;uniform int firstLayer;
layout(std140) uniform Weights{mat4 kernel[${LAYERS_AT_ONCE * taps * inputs}];vec4 bias[${LAYERS_AT_ONCE}];};
${outputs.map((i) => `layout(location=${i}) out vec4 out${i};`).join('')}
void main(){${AT}ivec2 size=textureSize(inputs,0).xy;
  ${outputs.map((i) => `vec4 sum${i}=bias[${i}];`).join('')}
  int k=0;
  for(int dy=-${reach};dy<=${reach};dy++)for(int dx=-${reach};dx<=${reach};dx++){
    ivec2 p=at+${dilation}*ivec2(dx,dy);
    if(any(lessThan(p,ivec2(0)))||any(greaterThanEqual(p,size))){k+=${inputs};continue;}
    for(int i=0;i<${inputs};i++,k++){
      vec4 x=texelFetch(inputs,ivec3(p,i),0);
      ${rectifies ? 'x=max(x,.1*x);' : ''}
      ${outputs.map((i) => `sum${i}+=kernel[k+${i * taps * inputs}]*x;`).join('')}
    }
  }
  ${outputs.map((i) => `out${i}=sum${i}${adds ? `+texelFetch(before,ivec3(at,firstLayer+${i}),0)` : ''};`).join('')}
}`;
}

/** What is added to the picture, through the gate; to the canvas or a texture, upside down. */
export const COMBINE = `${HEAD}${LEVEL_SAMPLERS}precision highp sampler2DArray;
uniform sampler2DArray outputs;uniform sampler2D contrast,shares;out vec4 result;
float bounded(float x,float most){return most*tanh(x*float(${OUTPUT_SCALE})/most);}
vec4 gains(ivec2 cell,int layer){
  vec4 x=texelFetch(outputs,ivec3(cell,layer),0);
  for(int i=0;i<4;i++)x[i]=bounded(x[i],float(${MOST[0]}));
  return x;
}
vec3 second(sampler2D s,ivec2 p,ivec2 a,ivec2 b){return .5*(get(s,p-a)+get(s,p+a)-get(s,p-b)-get(s,p+b));}
void main(){
  ivec2 size=textureSize(level0,0);last=size-1;
  ivec2 at=ivec2(gl_FragCoord.xy),up=at;at.y=size.y-1-at.y;
  vec3 raw=get(level0,at);
  vec4 s=texelFetch(shares,up,0);
  float gate=clamp((s.x-float(${GATE[0]}))/float(${GATE[1]! - GATE[0]!}),0.,1.)*clamp(s.a,0.,1.);
  vec2 place=(vec2(at)+.5)/float(${CELL})-.5;
  ivec2 low=ivec2(floor(place)),most=textureSize(contrast,0)-1;
  vec2 share=place-floor(place);
  vec4 g0=vec4(0.),g1=vec4(0.);float g8=0.,around=0.;
  for(int k=0;k<4;k++){
    ivec2 step_=ivec2(k&1,k>>1),cell=clamp(low+step_,ivec2(0),most);
    vec2 w=mix(1.-share,share,vec2(step_));float weight=w.x*w.y;
    g0+=weight*gains(cell,0);g1+=weight*gains(cell,1);g8+=weight*gains(cell,2).x;
    around+=weight*texelFetch(contrast,cell,0).x;
  }
  g0.xyz+=vec3(${FIRST_GAINS.join(',')});
  int channel=${BANDS}+${CELL}*(at.y&3)+(at.x&3);
  float pattern=bounded(texelFetch(outputs,ivec3(at/${CELL},channel>>2),0)[channel&3],float(${MOST[1]}));
  vec3 l1=get(level1,at),l2=get(level2,at),l3=get(level3,at),l4=get(level4,at),l5=get(level5,at);
  vec3 added=vec3(around*pattern);
  added+=g0.x*(raw-l1)+g0.y*(l1-l2)+g0.z*(l2-l3)+g0.w*(l3-l4)+g1.x*(l4-l5);
  added+=g1.y*second(level1,at,ivec2(1,0),ivec2(0,1))+g1.z*second(level1,at,ivec2(1,1),ivec2(1,-1));
  added+=g1.w*second(level2,at,ivec2(2,0),ivec2(0,2))+g8*second(level2,at,ivec2(2,2),ivec2(2,-2));
  result=vec4(clamp(raw+gate*added,0.,1.),1.);
}`;
