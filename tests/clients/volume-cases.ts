/** Cases of volumes and mounts; see `cases.ts`. */
export const VOLUME_CASES: readonly (readonly [name: string, script: string])[] = [
  // -- volume create
  ['volume create prints the name', 'docker volume create $N; rc'],
  ['volume create twice', 'docker volume create $N >/dev/null; docker volume create $N; rc'],
  [
    'volume create without a name',
    'v=$(docker volume create); rc; printf %s $v | wc -c; docker volume rm $v >/dev/null; rc',
  ],
  ['volume create of one letter', 'docker volume create x; rc'],
  ['volume create with a bad name', 'docker volume create $N/x; rc'],
  ['volume create with a leading dot', 'docker volume create .$N; rc'],
  ['volume create with an unknown driver', 'docker volume create -d nosuch $N; rc'],
  ['volume create with an unknown option', 'docker volume create -o nonsense=1 $N; rc'],
  ['volume create with a type alone', 'docker volume create -o type=tmpfs $N; rc'],
  ['volume create with two names', 'docker volume create $N-a $N-b 2>&1 | head -1; rc'],
  [
    'volume create with labels',
    'docker volume create --label a=1 --label b $N >/dev/null; docker volume inspect -f "{{json .Labels}}" $N; rc',
  ],
  [
    'volume create with other options later',
    'docker volume create $N >/dev/null; docker volume create -o type=tmpfs -o device=tmpfs $N >/dev/null 2>&1; rc; docker volume inspect -f "{{json .Options}}" $N',
  ],

  // -- volume ls, inspect
  ['volume ls table', 'docker volume create $N >/dev/null; docker volume ls --filter name=$N | tr -s " "; rc'],
  [
    'volume ls -q',
    'docker volume create $N-b >/dev/null; docker volume create $N-a >/dev/null; docker volume ls -q --filter name=$N; rc',
  ],
  [
    'volume ls --format',
    'docker volume create --label a=1 $N >/dev/null; docker volume ls --filter name=$N --format "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}} {{.Label \\"a\\"}}"; rc',
  ],
  [
    'volume ls --format json',
    'docker volume create $N >/dev/null; docker volume ls --filter name=$N --format json | tr "," "\\n" | cut -d: -f1 | sort',
  ],
  [
    'volume ls by label',
    'docker volume create --label k=$N $N >/dev/null; docker volume ls -q --filter label=k=$N; docker volume ls -q --filter label=k=$N-none | wc -l; rc',
  ],
  [
    'volume ls dangling',
    'docker volume create $N-free >/dev/null; docker create -v $N-used:/v --name $N busybox >/dev/null; docker volume ls -q --filter name=$N --filter dangling=true; docker volume ls -q --filter name=$N --filter dangling=false; rc',
  ],
  [
    'volume ls by driver',
    'docker volume create $N >/dev/null; docker volume ls -q --filter name=$N --filter driver=local; docker volume ls -q --filter name=$N --filter driver=other | wc -l',
  ],
  ['volume ls with an unknown filter', 'docker volume ls --filter nonsense=1; rc'],
  ['volume ls with a wrong truth', 'docker volume ls --filter dangling=maybe; rc'],
  [
    'volume inspect',
    'docker volume create --label a=1 $N >/dev/null; docker volume inspect $N | sed -E "s#\\"Mountpoint\\": \\".*/#\\"Mountpoint\\": \\"/#"; rc',
  ],
  [
    'volume inspect --format',
    'docker volume create $N >/dev/null; docker volume inspect -f "{{.Name}} {{.Driver}} {{.Scope}}" $N; rc',
  ],
  ['volume inspect of a missing one', 'docker volume inspect $N; rc'],
  [
    'volume inspect of two, one missing',
    'docker volume create $N >/dev/null; docker volume inspect -f "{{.Name}}" $N $N-none; rc',
  ],
  ['inspect --type volume', 'docker volume create $N >/dev/null; docker inspect --type volume -f "{{.Name}}" $N; rc'],

  // -- volume rm, prune
  ['volume rm', 'docker volume create $N >/dev/null; docker volume rm $N; rc; docker volume rm $N; rc'],
  ['volume rm -f of a missing one', 'docker volume rm -f $N; rc'],
  ['volume rm of several', 'docker volume create $N-a >/dev/null; docker volume rm $N-a $N-b; rc'],
  ['volume rm in use', 'docker create -v $N:/v --name $N busybox >/dev/null; docker volume rm $N; rc'],
  ['volume rm -f in use', 'docker create -v $N:/v --name $N busybox >/dev/null; docker volume rm -f $N; rc'],
  ['volume prune with an unknown filter', 'docker volume prune -f --filter nonsense=1; rc'],
  [
    'volume prune by label spares others',
    'docker volume create --label $N $N-go >/dev/null; docker volume create $N-stay >/dev/null; docker volume prune -af --filter label=$N | grep -v reclaimed; docker volume ls -q --filter name=$N',
  ],
  [
    'volume prune without -a spares named ones',
    'docker volume create --label $N $N >/dev/null; docker volume prune -f --filter label=$N; rc; docker volume ls -q --filter name=$N',
  ],
  ['volume prune asks first', 'echo n | docker volume prune --filter label=$N; rc'],

  // -- named and anonymous volumes in containers
  [
    'run -v keeps files for the next',
    'docker run --rm -v $N:/v busybox sh -c "echo kept >/v/f"; docker run --rm -v $N:/other busybox cat /other/f; rc',
  ],
  [
    'run -v fills the volume from the image',
    'docker run --rm -v $N:/etc busybox true; docker run --rm -v $N:/x busybox ls /x/passwd; rc',
  ],
  ['run -v nocopy', 'docker run --rm -v $N:/etc:nocopy busybox ls /etc; rc'],
  [
    'run -v does not fill a volume with files',
    'docker run --rm -v $N:/v busybox touch /v/own; docker run --rm -v $N:/bin/none -v $N:/usr busybox ls /usr; rc',
  ],
  ['run -v :ro of a volume', 'docker run --rm -v $N:/v:ro busybox touch /v/f; rc'],
  [
    'run -v anonymous, and rm -v',
    'docker create -v /anon --name $N busybox >/dev/null; v=$(docker inspect -f "{{(index .Mounts 0).Name}}" $N); docker volume inspect -f "{{json .Labels}}" $v; docker rm -v $N >/dev/null; docker volume inspect -f x $v >/dev/null 2>&1; rc',
  ],
  [
    'run --rm takes anonymous volumes along, not named ones',
    'docker run --rm -v /anon -v $N:/named --cidfile $T/cid busybox true; docker volume ls -q --filter name=$N; rc',
  ],
  [
    'inspect Mounts of volumes',
    'docker create --name $N -v $N:/a:ro --mount type=volume,src=$N-2,dst=/b busybox >/dev/null; docker inspect -f "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.Driver}} [{{.Mode}}] {{.RW}} [{{.Propagation}}]{{println}}{{end}}" $N | sort; rc',
  ],
  [
    'run --volumes-from',
    'docker run --name $N -v $N:/v busybox sh -c "echo shared >/v/f"; docker run --rm --volumes-from $N busybox cat /v/f; docker run --rm --volumes-from $N:ro busybox touch /v/g; rc',
  ],
  ['run --volumes-from a missing one', 'docker run --rm --volumes-from $N busybox true; rc'],
  [
    'run --volumes-from with a bad mode',
    'docker create --name $N -v /v busybox >/dev/null; docker run --rm --volumes-from $N:nonsense busybox true; rc',
  ],
  [
    'run --mount volume with a subpath',
    'docker run --rm -v $N:/v busybox sh -c "mkdir /v/in; echo part >/v/in/f"; docker run --rm --mount type=volume,src=$N,dst=/p,volume-subpath=in busybox cat /p/f; rc',
  ],
  [
    'run --mount with a subpath that escapes',
    'docker run --rm --mount type=volume,src=$N,dst=/p,volume-subpath=../x busybox true; rc',
  ],
  [
    'run --mount with a missing subpath',
    'docker run --rm --mount type=volume,src=$N,dst=/p,volume-subpath=none busybox true 2>&1 | sed -E "s#/[^ ]*/volumes/#/#g"; rc',
  ],
  [
    'run --mount volume-nocopy',
    'docker run --rm --mount type=volume,src=$N,dst=/etc,volume-nocopy busybox ls /etc; rc',
  ],
  [
    'run --mount volume-label',
    'docker run --rm --mount type=volume,src=$N,dst=/v,volume-label=a=1 busybox true; docker volume inspect -f "{{json .Labels}}" $N; rc',
  ],
  [
    'run --mount volume-opt tmpfs',
    'docker run --rm --mount type=volume,src=$N,dst=/v,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=size=1m busybox sh -c "df -k /v | tail -1 | tr -s \\" \\" | cut -d\\" \\" -f2"; rc',
  ],
  [
    'run --mount volume-opt bind',
    'mkdir $T/d; echo dev >$T/d/f; docker run --rm --mount type=volume,src=$N,dst=/v,volume-opt=type=none,volume-opt=device=$T/d,volume-opt=o=bind busybox cat /v/f; rc',
  ],
  [
    'run with a volume whose device is missing',
    'docker volume create -o type=none -o o=bind -o device=/no/such/dir $N >/dev/null; docker run --rm -v $N:/v busybox true 2>&1 | sed -E "s#/tmp/[^ :]*/volumes/#/volumes/#g"; rc',
  ],

  // -- mounts that are refused, and images
  ['run --mount without a target', 'docker run --rm --mount type=volume,src=$N busybox true; rc'],
  ['run --mount onto the root', 'docker run --rm --mount type=volume,src=$N,dst=/ busybox true; rc'],
  ['run --mount with a relative target', 'docker run --rm --mount type=volume,src=$N,dst=rel busybox true; rc'],
  ['run --mount bind without a source', 'docker run --rm --mount type=bind,dst=/x busybox true; rc'],
  [
    'run --mount bind with volume options',
    'docker run --rm --mount type=bind,src=/tmp,dst=/x,volume-nocopy busybox true; rc',
  ],
  [
    'run --mount bind of a file that is missing',
    'docker run --rm --mount type=bind,src=$T/none,dst=/x busybox true; rc',
  ],
  ['run --mount with an unknown key', 'docker run --rm --mount type=volume,src=$N,dst=/x,nonsense=1 busybox true; rc'],
  ['run --mount tmpfs with a source', 'docker run --rm --mount type=tmpfs,src=/tmp,dst=/x busybox true; rc'],
  [
    'run --mount bind-propagation wrong',
    'docker run --rm --mount type=bind,src=/tmp,dst=/x,bind-propagation=nonsense busybox true; rc',
  ],
  ['run -v twice at one place', 'docker run --rm -v $N:/v -v $N-2:/v busybox true; rc'],
  ['run -v with two access modes', 'docker run --rm -v $N:/v:ro,rw busybox true; rc'],
  ['run -v with a propagation for a volume', 'docker run --rm -v $N:/v:rslave busybox true; rc'],
  ['run -v with nocopy for a path', 'docker run --rm -v $T:/v:nocopy busybox true; rc'],
  [
    'run -v z and consistency words',
    'mkdir $T/d; docker run --rm -v $T/d:/d:z,cached busybox true; rc; docker run --rm -v $T/d:/d:Z,delegated,ro busybox true; rc',
  ],
  ['run -v over a file of the image', 'docker run --rm -v $N:/etc/passwd busybox true; rc'],
  [
    'run --mount image is read-only',
    'docker run --rm --mount type=image,src=busybox,dst=/i busybox sh -c "ls /i/bin/sh; touch /i/x 2>&1" 2>/dev/null; rc',
  ],
  [
    'run --mount image with a subpath',
    'docker run --rm --mount type=image,src=busybox,dst=/i,image-subpath=etc busybox ls /i/passwd 2>/dev/null; rc',
  ],
  [
    'run --mount image with a subpath that escapes',
    'docker run --rm --mount type=image,src=busybox,dst=/i,image-subpath=../etc busybox true 2>&1 | grep -v WARNING; rc',
  ],
  [
    'run --mount image without a source',
    'docker run --rm --mount type=image,dst=/i busybox true 2>&1 | grep -v WARNING; rc',
  ],
  [
    'inspect Mounts of an image',
    'docker create --name $N --mount type=image,src=busybox,dst=/i busybox >/dev/null 2>&1; docker inspect -f "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} [{{.Mode}}] {{.RW}} {{.Propagation}}{{end}}" $N; rc',
  ],
  [
    'cp into a volume of a stopped container',
    'docker create --name $N -v $N:/v busybox >/dev/null; echo in >$T/f; docker cp -q $T/f $N:/v/f; rc; docker run --rm -v $N:/v busybox cat /v/f; rc',
  ],
  [
    'events of volumes',
    's=$(date +%s); docker volume create $N >/dev/null; docker volume rm $N >/dev/null; docker events --since $s --until $(($(date +%s)+1)) --filter type=volume --filter volume=$N --format "{{.Action}} {{.Actor.ID}} {{json .Actor.Attributes}}"; rc',
  ],
  // -- options, anonymous ones, links that lead nowhere
  [
    'volume prune leaves volumes with options',
    'docker volume create -o type=tmpfs -o device=tmpfs --label case=$N $N >/dev/null; docker volume create --label case=$N $N-plain >/dev/null; docker volume prune -af --filter label=case=$N; docker volume ls -q --filter name=$N',
  ],
  [
    'volume prune takes anonymous volumes only',
    'docker volume create --label case=$N $N >/dev/null; docker create --name $N --mount type=volume,dst=/x,volume-label=case=$N busybox >/dev/null; docker rm $N >/dev/null; docker volume prune -f --filter label=case=$N | sed -E "s/^[0-9a-f]{64}$/anonymous/"; docker volume ls -q --filter label=case=$N',
  ],
  [
    'run -v of a symlink',
    'mkdir $T/d; echo x >$T/d/f; ln -s $T/d $T/link; docker run --rm -v $T/link:/x busybox cat /x/f; rc; docker run --rm -v $T/link/f:/y busybox cat /y; rc',
  ],
  [
    'run -v of a symlink that leads nowhere',
    'ln -s /nonexistent $T/dangling; docker run --rm -v $T/dangling:/x busybox true; rc; docker run --rm --mount type=bind,src=$T/dangling,dst=/x busybox true; rc; ln -s $T/loop $T/loop; docker run --rm -v $T/loop:/x busybox true; rc',
  ],
  [
    'run --mount with subpaths that lead out by symlinks',
    'docker run --rm -v $N:/v busybox sh -c "mkdir /v/in; ln -s /etc /v/abs; ln -s ../../../../../../etc /v/rel; ln -s in /v/ok; echo s >/v/in/s"; for s in ok abs rel in/../in; do docker run --rm --mount type=volume,src=$N,dst=/p,volume-subpath=$s busybox ls /p/s 2>&1 | sed -E "s#/[^ ,]*/volumes/#/#g"; done',
  ],
  [
    'run --mount tmpfs and its options',
    'docker run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700 busybox stat -c %a /t; rc; docker run --rm --mount type=tmpfs,dst=/t,tmpfs-size=-1 busybox true; rc; docker run --rm --mount type=tmpfs,dst=/t,tmpfs-mode=99 busybox true; rc; docker run --rm --tmpfs t busybox true; rc; docker run --rm --mount type=bogus,dst=/t busybox true; rc; docker run --rm --mount type=npipe,src=x,dst=/t busybox true; rc',
  ],
  [
    'run --mount bind-recursive',
    'mkdir $T/d; docker run --rm --mount type=bind,src=$T/d,dst=/t,ro,bind-recursive=readonly busybox true; rc; docker run --rm --mount type=bind,src=$T/d,dst=/t,ro,bind-recursive=readonly,bind-propagation=rprivate busybox touch /t/x; rc; docker run --rm --mount type=bind,src=$T/d,dst=/t,bind-recursive=readonly busybox true; rc; docker run --rm --mount type=bind,src=$T/d,dst=/t,bind-recursive=maybe busybox true; rc',
  ],
  [
    'run -v with bad words',
    'docker run --rm -v /x:y busybox true; rc; docker run --rm -v :/x busybox true; rc; docker run --rm -v $N: busybox true; rc; docker run --rm -v a/b:/x busybox true; rc; docker run --rm -v $N:/x:bogus busybox true; rc; docker run --rm -v /:/ busybox true; rc; docker run --rm -v a:/x busybox true; rc',
  ],
  [
    'run with an nfs volume of a host that is not there',
    'docker volume create -o type=nfs -o o=addr=127.0.0.1,rw -o device=:/x $N; rc; docker run --rm -v $N:/x busybox true >/dev/null 2>&1; rc',
  ],
  [
    'run with an overlay volume',
    'mkdir $T/l $T/u $T/w; echo x >$T/l/f; docker volume create -o type=overlay -o device=overlay -o o=lowerdir=$T/l,upperdir=$T/u,workdir=$T/w $N >/dev/null; docker run --rm -v $N:/x busybox sh -c "cat /x/f; echo hi >/x/n"; rc; ls $T/u',
  ],
];
