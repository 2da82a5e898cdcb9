/** One script, and whether it is among those that `npm test` runs; the others run with GANTRY_TEST_ALL=1. */
export interface Case {
  readonly name: string;
  readonly script: string;
  readonly always: boolean;
}

const cases: Case[] = [];
/** Run always. */
const it = (name: string, script: string): void => void cases.push({ name, script, always: true });
/** Run when all are asked for. */
const also = (name: string, script: string): void => void cases.push({ name, script, always: false });
/** A shell's printf into the Dockerfile. */
const from = (...lines: string[]): string => `cat >Dockerfile <<'D'\n${lines.join('\n')}\nD\n`;

const COPY = `echo one >a.txt; mkdir sub; echo two >sub/b.txt\n${from('FROM busybox', 'COPY . /data')}`;
const SCRATCH = `echo one >a.txt; mkdir sub; echo two >sub/b.txt\n${from('FROM scratch', 'COPY . /out')}`;

// files, contexts and Dockerfiles
it('build, tag and run', `${COPY}b -t $N .; rc; config $N; tree $N /data`);
also('build of a Dockerfile elsewhere', `${COPY}mkdir d; mv Dockerfile d/x; b -f d/x -t $N .; rc; tree $N /data/a.txt`);
also('build -f - reads the Dockerfile from stdin', `${COPY}b -f - -t $N . <Dockerfile; rc; tree $N /data/a.txt`);
also(
  'build of a Dockerfile alone from stdin',
  `${from('FROM busybox', 'RUN echo x >/x')}b -t $N - <Dockerfile; rc; tree $N /x`,
);
it('build of a tar from stdin', `${COPY}tar c . | b -t $N -; rc; tree $N /data/a.txt`);
also('build of a gzipped tar from stdin', `${COPY}tar cz . | b -t $N -f Dockerfile -; rc; tree $N /data/a.txt`);
it('no Dockerfile', `b -t $N .; rc`);
also('an empty Dockerfile', `: >Dockerfile; b .; rc`);
it('an unknown instruction', `${from('FROM busybox', 'RUNX y')}b .; rc`);
also('an unknown flag', `${from('FROM busybox', 'COPY --what=1 a b')}b .; rc`);
also('no FROM', `${from('RUN x')}b .; rc`);
it('a command that fails', `${from('FROM busybox', 'RUN exit 3')}b .; rc`);
also('a command that is not there', `${from('FROM busybox', 'RUN ["/nosuch"]')}b . >/dev/null; rc`);
also('a command that is not found by the shell', `${from('FROM busybox', 'RUN nosuch')}b .; rc`);
it(
  'the lines of the Dockerfile around a failure',
  `${from('FROM busybox', '', '# why', 'RUN exit 7', 'RUN true')}b .; grep -a -A8 '^Dockerfile:' $T/out`,
);
it('a file that is not there', `${from('FROM busybox', 'COPY nosuch /')}b .; rc`);
also('an excluded file', `${COPY}echo a.txt >.dockerignore\n${from('FROM busybox', 'COPY a.txt /')}b . >/dev/null; rc`);
it(
  '.dockerignore',
  `${COPY}mkdir -p x/y; echo 1 >x/1.log; echo 2 >x/y/2.log; echo 3 >x/3.txt; printf '**/*.log\\n!x/1.log\\nsub\\n' >.dockerignore; b -t $N .; rc; tree $N /data`,
);
also(
  'Dockerfile.dockerignore goes before',
  `${COPY}echo '*' >.dockerignore; echo a.txt >Dockerfile.dockerignore; b -t $N .; rc; tree $N /data/sub`,
);
also(
  'links, modes and hard links of the context',
  `mkdir d; echo x >d/f; chmod 751 d/f; ln -s f d/l; ln -s /etc/passwd d/abs; mkdir -m 700 d/closed; ln d/f d/hard\n${from('FROM busybox', 'COPY d /d')}b -t $N .; rc; tree $N /d`,
);
also(
  'names with spaces and signs',
  `mkdir d; echo 1 >'d/a b'; echo 2 >'d/ü'\n${from('FROM busybox', 'COPY d /d', 'COPY ["d/a b","/x y"]')}b -t $N .; rc; tree $N /d`,
);
also(
  'files of a megabyte',
  `head -c 3000000 /dev/zero | tr '\\0' x >big; head -c 1048576 /dev/zero >exact\n${from('FROM busybox', 'COPY big exact /', 'RUN cat big exact | md5sum >/o')}b -t $N .; rc; tree $N /o`,
);
also('an empty context', `${from('FROM busybox', 'COPY . /e')}mkdir e; b -f - -t $N e <Dockerfile; rc; tree $N /e`);
also(
  'a context whose files change',
  `mkdir d; for i in 1 2 3; do echo $i >d/$i; done\n${from('FROM busybox', 'COPY d /d')}b -t $N .; rm d/1; echo new >d/2; mkdir d/3x; mv d/3 d/3x/; b -t $N .; rc; tree $N /d`,
);
it(
  'a file that becomes a directory, and a link',
  `mkdir d; echo f >d/x\n${from('FROM busybox', 'COPY d /d')}b -t $N .; rm d/x; mkdir d/x; echo in >d/x/y; b -t $N .; tree $N /d; rm -r d/x; ln -s y d/x; b -t $N .; rc; tree $N /d`,
);
also(
  'many small files',
  `mkdir d; for i in $(seq 300); do echo $i >d/$i; done\n${from('FROM busybox', 'COPY d /d', 'RUN cat /d/* | md5sum >/o; ls /d | wc -l >>/o')}b -t $N .; rc; tree $N /o`,
);
also(
  'a Dockerfile that is a link',
  `mkdir x; printf 'FROM busybox\\nRUN echo l >/l\\n' >x/real; ln -s x/real Dockerfile; b -t $N .; rc; tree $N /l`,
);
also(
  'a Dockerfile outside of the context',
  `mkdir c2; echo i >c2/i; printf 'FROM busybox\\nCOPY i /i\\n' >$T/D; b -f $T/D -t $N c2; rc; tree $N /i`,
);
also('a context that is not there', `b $T/nosuch; rc`);

// the language
it(
  'targets',
  `${from('FROM busybox AS a', 'RUN echo a >/x', 'FROM busybox AS b', 'RUN echo b >/x', 'FROM a', 'RUN echo c >>/x')}for t in a b; do b --target $t -t $N:$t .; rc; tree $N:$t /x; done; b -t $N:l .; rc; tree $N:l /x`,
);
also('an unknown target', `${from('FROM busybox AS a')}b --target z . >/dev/null; rc`);
it(
  'build arguments',
  `${from('ARG B=busybox', 'FROM $B', 'ARG V=1', 'ARG W', 'ENV X=$V$W', 'RUN echo $V $W >/x')}b --build-arg W=two -t $N .; rc; config $N; tree $N /x; b --build-arg V=9 -t $N .; config $N`,
);
also(
  'a build argument from the environment',
  `${from('FROM busybox', 'ARG V', 'RUN echo $V >/x')}V=env; export V; b --build-arg V -t $N .; rc; tree $N /x`,
);
also(
  'a build argument that is emptied',
  `${from('FROM busybox', 'ARG V=1', 'RUN echo "[$V]" >/o')}b --build-arg V= -t $N .; rc; tree $N /o`,
);
also('an unused build argument', `${from('FROM busybox')}b --build-arg NOSUCH=1 -t $N .; rc`);
also(
  'arguments in paths',
  `mkdir d1; echo 1 >d1/f\n${from('FROM busybox', 'ARG D=d1', 'COPY $D/f /f')}b -t $N .; rc; tree $N /f`,
);
also(
  'platform arguments',
  `${from('FROM busybox', 'ARG TARGETPLATFORM TARGETARCH BUILDOS', 'RUN echo $TARGETPLATFORM $TARGETARCH $BUILDOS >/x')}b -t $N .; rc; tree $N /x`,
);
it(
  'labels',
  `${from('FROM busybox', 'LABEL a=1 b=2')}b --label b=3 --label c=4 -t $N .; rc; docker image inspect -f '{{json .Config.Labels}}' $N`,
);
it(
  'configuration',
  `${from('FROM busybox', 'ENV A=1 B="2 3"', 'WORKDIR /w', 'USER 1000:1000', 'EXPOSE 80 443/udp', 'VOLUME /v', 'ENTRYPOINT ["/bin/echo"]', 'CMD ["a","b"]', 'STOPSIGNAL SIGINT', 'HEALTHCHECK --interval=5s CMD true')}b -t $N .; rc; config $N; docker image inspect -f '{{json .Config.Healthcheck}} {{.Config.StopSignal}}' $N; docker run --rm --network none $N`,
);
also(
  'shell and onbuild',
  `${from('FROM busybox', 'SHELL ["/bin/sh","-ec"]', 'ONBUILD RUN echo hi >/hi')}b -t $N:base .; rc; echo "FROM $N:base" >Dockerfile; b -t $N:1 .; rc; tree $N:1 /hi; docker image inspect -f '{{json .Config.Shell}} {{json .Config.OnBuild}}' $N:base`,
);
it(
  'onbuild that copies',
  `echo x >f\n${from('FROM busybox', 'ONBUILD COPY f /f')}b -t $N:base .; echo "FROM $N:base" >Dockerfile; b -t $N:1 .; rc; tree $N:1 /f`,
);
it(
  'heredocs',
  `${from('FROM busybox', 'RUN <<EOF', 'echo a >/a', 'echo b >/b', 'EOF', 'COPY <<"X" <<Y /h/', '$raw', 'X', 'plain', 'Y')}b -t $N .; rc; tree $N /a /b /h`,
);
also(
  'copy --chmod and --chown',
  `echo x >f\n${from('FROM busybox', 'COPY --chmod=640 --chown=1000:50 f /f', 'ADD --chown=7 f /g')}b -t $N .; rc; tree $N /f /g`,
);
also('copy --link', `echo x >f\n${from('FROM busybox', 'COPY --link f /l/f')}b -t $N .; rc; tree $N /l`);
also(
  'copy with wildcards',
  `echo 1 >a1; echo 2 >a2; echo 3 >b\n${from('FROM busybox', 'COPY a* /d/')}b -t $N .; rc; tree $N /d`,
);
also(
  'add unpacks an archive',
  `mkdir x; echo 1 >x/one; tar czf x.tgz x\n${from('FROM busybox', 'ADD x.tgz /t/')}b -t $N .; rc; tree $N /t/x/one`,
);
it(
  'copy --from of a stage and of an image',
  `${from('FROM busybox AS s', 'RUN mkdir /o; echo 1 >/o/1; chown 5:6 /o/1', 'FROM busybox', 'COPY --from=s /o /o', 'COPY --from=busybox /etc/group /g')}b -t $N .; rc; tree $N /o`,
);
also(
  'user that is not root',
  `${from('FROM busybox', 'RUN mkdir -m 777 /w', 'USER 1234', 'RUN id -u >/w/o')}b -t $N .; rc; tree $N /w/o`,
);
also(
  '20 steps',
  `{ echo FROM busybox; for i in $(seq 20); do echo "RUN echo $i >/f$i"; done; } >Dockerfile; b -t $N .; rc; docker image inspect -f '{{len .RootFS.Layers}}' $N`,
);
also(
  'deep stages',
  `{ echo "FROM busybox AS s0"; for i in $(seq 12); do echo "FROM s$((i-1)) AS s$i"; echo "RUN echo $i >>/f"; done; } >Dockerfile; b -t $N .; rc; tree $N /f`,
);
also(
  'history of the image',
  `${from('FROM busybox', 'ENV A=1', 'RUN echo x >/x', 'CMD ["x"]')}b -t $N .; docker history --no-trunc --format '{{.CreatedBy}}' $N | head -3`,
);

// mounts
it(
  'a secret from a file',
  `echo s3cret >s\n${from('FROM busybox', 'RUN --mount=type=secret,id=x stat -c "%a %u" /run/secrets/x >/o; cat /run/secrets/x | wc -c >>/o')}b --secret id=x,src=s -t $N .; rc; tree $N /o; docker history --no-trunc $N | grep -c s3cret`,
);
also(
  'a secret from the environment, as one',
  `${from('FROM busybox', 'RUN --mount=type=secret,id=x,env=Y echo $Y >/o')}X=val; export X; b --secret id=x,env=X -t $N .; rc; tree $N /o`,
);
it(
  'a secret that is not given',
  `${from('FROM busybox', 'RUN --mount=type=secret,id=x cat /run/secrets/x 2>/dev/null; echo went on >/o')}b -t $N .; rc; tree $N /o`,
);
it(
  'a secret that is needed and not given',
  `${from('FROM busybox', 'RUN --mount=type=secret,id=x,required=true true')}b .; rc`,
);
it(
  'ssh of an agent that is not there',
  `${from('FROM busybox', 'RUN --mount=type=ssh,required=true true')}b . >/dev/null; rc`,
);
also(
  'mounts of the context and of a stage',
  `mkdir d; echo 1 >d/f\n${from('FROM busybox AS s', 'RUN echo 2 >/g', 'FROM busybox', 'RUN --mount=type=bind,source=d,target=/m --mount=type=bind,from=s,source=/g,target=/g cat /m/f /g >/o')}b -t $N .; rc; tree $N /o`,
);
also(
  'a mount of the whole context that is written to',
  `echo 1 >f\n${from('FROM busybox', 'RUN --mount=target=/m,rw echo 2 >>/m/f; cp /m/f /o', 'RUN --mount=target=/m cat /m/f >>/o')}b -t $N .; rc; tree $N /o`,
);
also(
  'a cache mount',
  `cat >Dockerfile <<D\nFROM busybox\nRUN --mount=type=cache,id=$N,target=/c echo 1 >>/c/f; cat /c/f >/o\nD\nb -t $N .; b --no-cache -t $N .; rc; tree $N /o`,
);
also(
  'a tmpfs mount',
  `${from('FROM busybox', 'RUN --mount=type=tmpfs,target=/t grep " /t " /proc/mounts | cut -d" " -f3 >/o')}b -t $N .; rc; tree $N /o`,
);

// options
also('--network=none', `${from('FROM busybox', 'RUN ls /sys/class/net >/o')}b --network none -t $N .; rc; tree $N /o`);
also(
  'RUN --network=none',
  `${from('FROM busybox', 'RUN --network=none ls /sys/class/net >/o')}b -t $N .; rc; tree $N /o`,
);
also('--network of a name', `${from('FROM busybox')}b --network some . ; rc`);
also(
  '--add-host',
  `${from('FROM busybox', 'RUN grep -w db /etc/hosts | tr "\\t" " " >/o')}b --add-host db:10.1.2.3 -t $N .; rc; tree $N /o`,
);
also(
  '--shm-size and --ulimit',
  `${from('FROM busybox', 'RUN df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2 >/o; ulimit -n >>/o')}b --shm-size 32m --ulimit nofile=99:99 -t $N .; rc; tree $N /o`,
);
also('RUN --security=insecure', `${from('FROM busybox', 'RUN --security=insecure true')}b . >/dev/null; rc`);
also('--pull of an image that no registry has', `${from('FROM nosuch.invalid/x')}b --pull . >/dev/null; rc`);
it(
  'the cache: unchanged, touched, changed',
  `echo $N >a.txt\n${from('FROM busybox', 'COPY a.txt /a', 'RUN cat /a >/o')}for change in true true 'touch a.txt' 'echo new $N >a.txt'; do eval "$change"; b -t $N .; for s in COPY RUN; do n=$(grep -a -o "^#[0-9]* .*$s" $T/out | head -1 | cut -d' ' -f1); grep -a -c "^$n CACHED" $T/out; done; done; tree $N /o`,
);
also(
  '--no-cache',
  `${from('FROM busybox', 'RUN echo 1')}b .; b --no-cache .; grep -a -A3 '2/2. RUN' $T/out | grep -a -c CACHED`,
);
it(
  '--no-cache-filter',
  `${from('FROM busybox AS a', 'RUN echo 1 >/1', 'FROM busybox AS b', 'RUN echo 2 >/2', 'FROM busybox', 'COPY --from=a /1 /', 'COPY --from=b /2 /')}b .; b --no-cache-filter a .; rc; for s in a b; do n=$(grep -a -o "^#[0-9]* .$s 2/2" $T/out | head -1 | cut -d' ' -f1); grep -a -c "^$n CACHED" $T/out; done`,
);
it(
  'quiet prints the id',
  `${COPY}i=$(docker buildx build -q -t $N . 2>/dev/null); [ "$i" = "$(docker image inspect -f '{{.Id}}' $N)" ] && echo same`,
);
it(
  '--iidfile and --metadata-file',
  `${COPY}b -t $N --iidfile $T/i --metadata-file $T/m .; rc; [ "$(cat $T/i)" = "$(docker image inspect -f '{{.Id}}' $N)" ] && echo same; grep -c containerimage.digest $T/m`,
);
also('several tags', `${COPY}b -t $N:1 -t $N:2 .; rc; docker images -q $N | sort -u | wc -l`);
also('a tag that is none', `${COPY}b -t 'BAD NAME' .; rc`);
also('--push without a tag', `${COPY}b --push .; rc`);
also('--load', `${COPY}b --load -t $N .; rc; tree $N /data/a.txt`);

// outputs
it('-o type=local', `${SCRATCH}b -o type=local,dest=$T/o .; rc; (cd $T/o; find . -type f | sort | xargs head)`);
also('-o DIR', `${SCRATCH}b -o $T/o .; rc; cat $T/o/out/sub/b.txt`);
also('-o DIR keeps what is there', `${SCRATCH}mkdir $T/o; echo mine >$T/o/mine; b -o $T/o .; rc; ls $T/o`);
it(
  '-o type=local of links and modes',
  `mkdir d; echo x >d/f; chmod 741 d/f; ln -s f d/l; ln d/f d/h\n${from('FROM scratch', 'COPY d /d')}b -o $T/o .; rc; (cd $T/o; find d | sort | xargs stat -c '%n %a %F'; readlink d/l)`,
);
it('-o type=tar', `${SCRATCH}b -o type=tar,dest=$T/o.tar .; rc; tar tf $T/o.tar | sed 's|/$||' | sort`);
also('-o - is a tar on stdout', `${SCRATCH}docker buildx build -q -o - . 2>/dev/null | tar t | sed 's|/$||' | sort`);
also('-o type=local without a place', `${COPY}b -o type=local . ; rc`);
also('-o of an unknown type', `${COPY}b -o type=what . >/dev/null; rc`);
also('-o type=cacheonly', `${COPY}b -o type=cacheonly .; rc`);

// named contexts
it(
  'named contexts: a directory',
  `mkdir $T/other; echo o >$T/other/f\n${from('FROM busybox', 'COPY --from=more f /f')}b --build-context more=$T/other -t $N .; rc; tree $N /f`,
);
it(
  'named contexts: an image in place of another',
  `${from('FROM busybox', 'RUN echo 1 >/one')}b -t $N:base .\n${from('FROM nosuch AS base', 'RUN echo 2 >/two')}b --build-context nosuch=docker-image://$N:base -t $N:1 .; rc; tree $N:1 /one /two`,
);
also(
  'named contexts: files that are ignored',
  `mkdir $T/other; echo o >$T/other/f; echo g >$T/other/g; echo g >$T/other/.dockerignore\n${from('FROM busybox', 'COPY --from=more . /m/')}b --build-context more=$T/other -t $N .; rc; tree $N /m/f /m/g`,
);
also(
  'named contexts: one that is not there',
  `${from('FROM busybox')}b --build-context more=$T/nosuch . >/dev/null; rc`,
);
also(
  'named contexts: a directory in place of a stage',
  `mkdir $T/other; echo o >$T/other/f\n${from('FROM busybox AS src', 'RUN echo no >/f', 'FROM busybox', 'COPY --from=src /f /f')}b --build-context src=$T/other -t $N .; rc; tree $N /f`,
);

// questions
it(
  '--check',
  `${from('from busybox', 'RUN cd /x', 'ENV a 1')}docker buildx build --check . >$T/out 2>/dev/null; rc; grep -a '^WARNING' $T/out | cut -d' ' -f2 | sort`,
);
also('--check of a good one', `${from('FROM busybox', 'RUN true')}docker buildx build --check . 2>/dev/null; rc`);
also('--check of a broken one', `${from('FROM busybox', 'RUNX')}docker buildx build --check . >/dev/null 2>&1; rc`);
also(
  '--check with errors asked for',
  `${from('# check=error=true', 'from busybox')}docker buildx build --check . >/dev/null 2>&1; rc; b . >/dev/null; rc`,
);
it(
  '--call=targets',
  `${from('# base is below', 'FROM busybox AS base', '# app it is', 'FROM base AS app')}docker buildx build --call=targets . 2>/dev/null; rc`,
);
it(
  '--call=outline',
  `${from('FROM busybox AS app', '# V the version', 'ARG V=1', 'RUN --mount=type=secret,id=tok,required=true --mount=type=cache,id=cc,target=/c --mount=type=ssh true')}docker buildx build --call=outline . 2>/dev/null; rc`,
);
also(
  '--call=outline in JSON',
  `${from('FROM busybox AS app', 'ARG V=1')}docker buildx build --call=outline,format=json . 2>/dev/null | grep -c '"name": "V"'`,
);
also('--call of something else', `${from('FROM busybox')}docker buildx build --call=what . >/dev/null 2>&1; rc`);
also(
  'warnings of a build',
  `${from('from busybox')}b .; rc; grep -a -o 'ConsistentInstructionCasing\\|[0-9]* warning found' $T/out | sort -u`,
);

it(
  "warnings of a build, by BuildKit's rules",
  `${from('from busybox AS One', 'RUN true', 'ENV a 1', 'CMD echo $nosuch')}docker buildx build --progress=plain . >$T/out 2>&1; rc; grep -a -o 'WARN: [A-Za-z]*' $T/out | sort; grep -a -o '[0-9]* warnings found' $T/out`,
);
also(
  'warnings that a build argument skips, or makes errors',
  `${from('from busybox', 'RUN true')}for check in skip=all error=true; do docker buildx build --progress=plain --build-arg BUILDKIT_DOCKERFILE_CHECK=$check . >$T/out 2>&1; rc; grep -a -o 'WARN: [A-Za-z]*' $T/out | sort; done`,
);

// progress
also(
  'raw progress',
  `${from('FROM busybox', 'RUN echo hello')}docker buildx build --progress=rawjson --no-cache . 2>&1 | grep -a -q '"name":"\\[2/2\\] RUN echo hello"'; rc`,
);
it(
  'plain progress names the steps',
  `${from('FROM busybox AS x', 'WORKDIR /w', 'ENV A=1', 'RUN echo hello', 'FROM x', 'COPY --from=x /w /v')}b --no-cache .; grep -a -o '\\[[a-z0-9-]* *[0-9]/[0-9]\\].*' $T/out | sort -u`,
);
also(
  'output of a step in the terminal',
  `${from('FROM busybox', 'RUN echo to-out; echo to-err >&2')}b --no-cache .; grep -a -o '[0-9.]* to-\\(out\\|err\\)$' $T/out | cut -d' ' -f2 | sort -u`,
);

/** The lines of a build in the terminal, without numbers, times and sizes, each once. */
const LINES = String.raw`sed -n -E 's/^#[0-9]+ //p' $T/out | grep -a -v '^[0-9.]* \|^DONE\|^CACHED\|^\.\.\.' | sed -E 's/sha256:[0-9a-f]{64}/<digest>/g; s/ [0-9.]+[kM]?B//; s/ [0-9.]+s//; s/ done$//' | sort -u`;
it(
  'text: variables, heredocs, secrets',
  `echo s >s; echo 1 >1.txt; ${from('ARG B=busybox', 'FROM ${B} AS only', 'ARG V=1', 'ENV E=e$V', 'WORKDIR /d$V', `RUN echo $V "\${E}" '$V' $NO \\$V $(date +%Y)`, 'COPY "$V.txt" /x$V', 'RUN <<E', 'echo one', 'echo two', 'E', 'RUN --mount=type=secret,id=s,env=S echo $S')}b --no-cache --secret id=s,src=s .; rc; ${LINES}`,
);
also(
  'text: stages that begin with one image, and images that files are taken from',
  `${from('FROM busybox AS a', 'RUN echo a >/a', 'FROM busybox AS b', 'RUN echo b >/b', 'FROM busybox', 'COPY --from=a /a /', 'COPY --from=b /b /')}b -t $N .; rc; ${LINES}
${from('FROM scratch', 'COPY --from=busybox /etc/passwd /', 'COPY --from=busybox:latest /etc/group /')}b .; rc; ${LINES}`,
);
also(
  'text: named contexts',
  `mkdir $T/o; echo f >$T/o/f\n${from('FROM base AS x', 'COPY --from=more f /f')}b --build-context base=docker-image://busybox --build-context more=$T/o .; rc; ${LINES}`.replace(
    '\\n',
    '\n',
  ),
);
also(
  'text: outputs',
  `${SCRATCH}b -t $N:1 -t $N:2 .; ${LINES}; b -o $T/o .; ${LINES}; b -o type=tar,dest=$T/o.tar .; ${LINES}`,
);
also(
  'text: what waits for a step that fails is not told of',
  `${from('FROM busybox AS one', 'RUN exit 3', 'FROM busybox', 'COPY --from=one /x /x')}b . >/dev/null; grep -a -c 'ERROR' $T/out; grep -a ' > ' $T/out`,
);
also(
  'text: an image that no registry has',
  `${from('FROM 127.0.0.1:1/nosuch:1')}b . >/dev/null; rc; grep -a -o '^ERROR.*source metadata for [^ ]*' $T/out; grep -a ' > ' $T/out`,
);
also(
  'names in the metadata file, and the lines of a failure in the history',
  `${from('FROM busybox')}b -t $N:1 -t $N:2 --metadata-file $T/m .; grep image.name $T/m; ${from('FROM busybox', `RUN exit 9; echo $N`)}b . >/dev/null; for r in $(docker buildx history ls --format '{{.Ref}}'); do docker buildx history inspect $r 2>&1 | grep -a '>>> RUN exit 9' && break; done`,
);

// bake
it(
  'bake: a file of HCL',
  `${COPY}cat >docker-bake.hcl <<D
variable "V" { default = "one" }
group "default" { targets = ["a", "b"] }
target "base" { context = "." }
target "a" {
  inherits = ["base"]
  tags = ["$N:a-\\\${V}"]
  args = { X = "1" }
}
target "b" {
  inherits = ["base"]
  tags = ["$N:b"]
  labels = { l = "v" }
}
D
bake; rc; docker images --format '{{.Tag}}' $N | sort; docker image inspect -f '{{json .Config.Labels}}' $N:b`,
);
also(
  'bake: variables and --set',
  `${COPY}cat >docker-bake.hcl <<D
variable "V" { default = "one" }
target "default" { tags = ["$N:\\\${V}"] }
D
V=two; export V; bake; rc; bake --set default.tags=$N:three; rc; docker images --format '{{.Tag}}' $N | sort`,
);
also(
  'bake --print',
  `${COPY}echo 'target "default" { tags = ["x:1"] }' >docker-bake.hcl; docker buildx bake --print 2>/dev/null; rc`,
);
it(
  'bake: linked targets',
  `cat >docker-bake.hcl <<D
target "base" { dockerfile-inline = "FROM busybox\\nRUN echo linked >/l\\nENV L=1" }
target "app" {
  contexts = { base = "target:base" }
  dockerfile-inline = "FROM base\\nRUN cp /l /m"
  tags = ["$N"]
}
D
bake app; rc; tree $N /m; docker image inspect -f '{{json .Config.Env}}' $N`,
);
also(
  'bake: a matrix',
  `cat >docker-bake.hcl <<D
target "m" {
  matrix = { v = ["1", "2"] }
  name = "m-\\\${v}"
  dockerfile-inline = "FROM busybox\\nLABEL v=\\\${v}"
  tags = ["$N:\\\${v}"]
}
D
bake m; rc; docker images --format '{{.Tag}}' $N | sort`,
);
also(
  'bake: a JSON file',
  `${COPY}echo '{"target":{"default":{"tags":["'$N':j"]}}}' >docker-bake.json; bake; rc; docker images --format '{{.Tag}}' $N`,
);
it(
  'bake: a compose file',
  `${COPY}cat >compose.yaml <<D
services:
  web:
    image: $N:web
    build:
      context: .
      labels: { from: compose }
D
bake; rc; docker image inspect -f '{{json .Config.Labels}}' $N:web`,
);
also(
  'bake: a target that is not there',
  `${COPY}echo 'target "default" {}' >docker-bake.hcl; bake nosuch >/dev/null; rc`,
);
also(
  'bake: a target that fails',
  `cat >docker-bake.hcl <<D
group "default" { targets = ["good", "bad"] }
target "good" { dockerfile-inline = "FROM busybox" }
target "bad" { dockerfile-inline = "FROM busybox\\nRUN exit 5" }
D
bake >/dev/null; rc`,
);
also(
  'bake --metadata-file',
  `${COPY}echo 'target "default" { tags = ["'$N'"] }' >docker-bake.hcl; bake --metadata-file $T/m; rc; grep -c '"default"' $T/m`,
);
also(
  'bake: an inline Dockerfile with a context',
  `echo ctx >f; cat >docker-bake.hcl <<D
target "default" {
  dockerfile-inline = "FROM busybox\\nCOPY f /f"
  tags = ["$N"]
}
D
bake; rc; tree $N /f`,
);

// the builder
it(
  'buildx inspect and ls',
  `docker buildx inspect 2>/dev/null | grep -E '^(Name|Driver):' | head -2; rc; docker buildx ls --format '{{.Name}} {{.DriverEndpoint}}' | head -1`,
);
also(
  'buildx du',
  `cat >Dockerfile <<D\nFROM busybox\nRUN echo $N >/x\nD\nb .; docker buildx du >$T/du; rc; head -1 $T/du | tr -s ' \\t' ' '; grep -c Total $T/du; docker buildx du --verbose | grep -a -c "echo $N"`,
);
also('buildx du of a filter', `docker buildx du --filter type=nosuch | head -1; rc`);
it(
  'history ls, logs, inspect, rm',
  `${from('FROM busybox', 'RUN echo said-it')}b --no-cache --metadata-file $T/m .; r=$(grep -o 'default/default/[a-z0-9]*' $T/m | head -1 | cut -d/ -f3); docker buildx history ls --format '{{.Ref}} {{.Status}}' | grep "$r" | cut -d' ' -f2; docker buildx history logs --progress=plain $r 2>&1 | grep -a -c 'said-it$'; docker buildx history inspect $r | grep -E '^(Dockerfile|Context):'; docker buildx history rm $r; rc; docker buildx history ls --format '{{.Ref}}' | grep -c "$r"`,
);
also(
  'history of a failure',
  `cat >Dockerfile <<D\nFROM busybox\nRUN exit 9; echo $N\nD\nb . >/dev/null; docker buildx history ls --format '{{.Status}}' | head -1`,
);
it(
  'history inspect attachment, and export',
  `${from('FROM busybox', 'ARG A', 'RUN echo x')}b --build-arg A=v --metadata-file $T/m .; r=$(grep -o 'default/default/[a-z0-9]*' $T/m | head -1 | cut -d/ -f3); docker buildx history inspect attachment --type provenance $r >$T/p; rc; grep -E '"(uri|frontend|build-arg:A|entryPoint|buildType)"' $T/p; docker buildx history inspect $r --format '{{range .Attachments}}{{.Type}} {{end}}'; docker buildx history inspect attachment $r 2>&1; rc; docker buildx history export -o $T/x $r; rc; gzip -dc $T/x | tar t | grep -c blobs/sha256/.; docker buildx history inspect attachment --type nosuch $r >/dev/null 2>&1; rc`,
);
it(
  'provenance in the metadata file',
  `${from('FROM busybox', 'RUN echo x')}for m in min max disabled nosuch; do BUILDX_METADATA_PROVENANCE=$m docker buildx build --metadata-file $T/m . >/dev/null 2>&1; rc; grep -oE '"buildx.build.provenance"|"uri": .*|"buildConfig"|"entryPoint".*' $T/m; rm -f $T/m; done`,
);
also(
  'builders: create, use, inspect, stop, rm',
  `docker buildx create --name $N --driver docker 2>&1 | tail -1; rc; docker buildx use default; rc; docker buildx use $N-no 2>&1; rc; docker buildx stop default 2>&1; rc; docker buildx rm default 2>&1; rc; docker buildx rm $N-no 2>&1; rc`,
);
also('buildx version', `docker buildx version | cut -d' ' -f1; rc`);
also(
  'buildx dial-stdio',
  `docker buildx dial-stdio </dev/null >/dev/null 2>&1; rc; docker buildx dial-stdio --platform nosuch/x </dev/null >/dev/null 2>&1; rc`,
);
also('history inspect of nothing', `docker buildx history inspect nosuchref >/dev/null 2>&1; rc`);
it('a frontend image', `${from('# syntax=nosuch.invalid/frontend:1', 'FROM busybox')}b . >/dev/null; rc`);
/** A policy of its own for the builds of a case, as buildx takes it. */
const policy = (...rules: string[]): string =>
  `cat >$T/policy.json <<'P'\n{"rules":[${rules.join(',')}]}\nP\nexport EXPERIMENTAL_BUILDKIT_SOURCE_POLICY=$T/policy.json\n`;
const rule = (action: string, identifier: string, more = ''): string =>
  `{"action":"${action}","selector":{"identifier":"${identifier}"}${more}}`;
const BUSYBOX = 'docker-image://docker.io/library/busybox:latest';
it('a source policy that denies an image', `${policy(rule('DENY', BUSYBOX))}${from('FROM busybox')}b -t $N .; rc`);
also(
  'a source policy that allows what it denied before',
  `${policy(rule('DENY', '*'), rule('ALLOW', 'local://*'), rule('ALLOW', BUSYBOX))}${COPY}b -t $N .; rc; tree $N /data/a.txt`,
);
it(
  'a source policy that converts an image',
  `${policy(rule('CONVERT', 'docker-image://docker.io/library/nosuch:*', `,"updates":{"identifier":"${BUSYBOX}"}`))}${from('FROM nosuch:1', 'RUN echo x >/x')}b -t $N .; rc; tree $N /x`,
);
also(
  'a source policy about a file of the web',
  `${policy(rule('DENY', 'https://*'))}${from('FROM scratch', 'ADD https://nosuch.invalid/x /x')}b .; rc`,
);
also('a source policy about the context', `${policy(rule('DENY', 'local://context'))}${COPY}b .; rc`);
also(
  'a source policy that is none',
  `echo '{"rules":3}' >$T/p; ${from('FROM busybox')}EXPERIMENTAL_BUILDKIT_SOURCE_POLICY=$T/p docker buildx build . >/dev/null 2>&1; rc`,
);
it(
  'a layout as a named context',
  `mkdir $T/l; docker save busybox | tar x -C $T/l; ${from('FROM base', 'COPY --from=base /bin/busybox /bb', 'RUN test -s /bb')}b --build-context base=oci-layout://$T/l -t $N .; rc; config $N`,
);
also(
  'a layout that is not there',
  `${from('FROM base')}b --build-context base=oci-layout://$T/nosuch . >/dev/null; rc`,
);
also('two builds at once', `${COPY}b -t $N:1 . & b -t $N:2 .; wait; docker images -q $N | sort -u | wc -l`);

export const BUILDX_CASES: readonly Case[] = cases;
