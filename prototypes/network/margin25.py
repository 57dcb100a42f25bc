"""How far a network sees: what a cut mosaic changes, by distance from the cut, in units of the noise; and time and memory of a tile."""
import sys, time, resource; sys.path.insert(0,'lab')
from bench25 import *
n=load(sys.argv[1]); n=getattr(n,'network',n)
from sidlib.beyond.full_size.stable import stabilise
rng=np.random.default_rng(0)
pic=decode_srgb(np.asarray(load_photograph('china'))[:416,:640]/255.)
pic=np.concatenate([pic,pic[::-1]],0)[:,:640]
for w in (5,100):
    c=count(w*camera.lay_mosaic(camera.see(pic,WB)),rng)
    p=stabilise(pack(np.rint(c)),K,NOISE.read_dn)[None]
    whole=n.predict_on_batch(p)[0]
    h,wd=whole.shape[:2]
    cutp=p[:, 96:96+192, 64:64+192]
    part=n.predict_on_batch(cutp)[0]
    d=np.abs(part-whole[192:192+384,128:128+384]).max(-1)
    yy=np.minimum(np.arange(384),383-np.arange(384)); dist=np.minimum.outer(yy,yy)
    print(w,{k:float(np.round(d[(dist>=k)&(dist<k+16)].max(),5)) for k in range(0,192,16)})
tile=rng.normal(5,1,(1,688,688,4)).astype('f')
base=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
t=[]
for _ in range(4):
    s=time.process_time(); n.predict_on_batch(tile); t.append(time.process_time()-s)
print('tile s',min(t),'MB more',(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss-base)/1024)
