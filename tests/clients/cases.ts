import { NETWORK_CASES } from './network-cases.ts';
import { VOLUME_CASES } from './volume-cases.ts';

/**
 * Shell scripts over the real docker CLI. Each is run against an engine and gives its output and exit code; ids, times,
 * sizes and addresses are masked (see `mask.ts`). The same script against dockerd gives the expectation.
 *
 * `$N` is a prefix of the case's own for names; the image `busybox` is there (Debian's static build, CMD sh). `rc` prints
 * the exit code of the command before it. What a script leaves under its prefix is removed after it.
 */
export const CASES: readonly (readonly [name: string, script: string])[] = [
  // -- run: the main path
  ['run prints', 'docker run --rm busybox echo hello; rc'],
  ['run passes the exit code', 'docker run --rm busybox sh -c "exit 7"; rc'],
  [
    'run keeps stdout and stderr apart',
    'docker run --rm busybox sh -c "echo out; echo err >&2" 2>$T/err; rc; cat $T/err',
  ],
  ['run reads stdin', 'printf "a\\nb\\n" | docker run -i --rm busybox wc -l; rc'],
  ['run -i passes bytes both ways', 'head -c 300000 /dev/zero | docker run -i --rm busybox sh -c "cat | md5sum"; rc'],
  ['run half-closes stdin', 'echo x | docker run -i --rm busybox sh -c "cat; echo after"; rc'],
  ['run without -i has no stdin', 'echo x | docker run --rm busybox cat; rc'],
  ['run ended by a signal', 'docker run --rm busybox sh -c "kill -9 \\$\\$"; rc'],
  [
    'run -d prints an id',
    'docker run -d --name $N busybox sleep 60; rc; docker inspect -f "{{.State.Status}} {{.State.Running}}" $N',
  ],
  ['run --name used twice', 'docker create --name $N busybox >/dev/null; docker run --name $N busybox; rc'],
  ['run a missing command', 'docker run --rm busybox nosuchcommand; rc'],
  ['run a missing absolute command', 'docker run --rm busybox /no/such; rc'],
  ['run what is not executable', 'docker run --rm busybox /etc/passwd; rc'],
  ['run a directory', 'docker run --rm busybox /etc; rc'],
  [
    'run leaves the failed container as created',
    'docker run --name $N busybox nosuch 2>/dev/null; rc; docker inspect -f "{{.State.Status}} {{.State.ExitCode}}" $N',
  ],
  ['run a missing image with --pull never', 'docker run --rm --pull never gantry-no-such-image true; rc'],
  ['run an invalid reference', 'docker run --rm UPPERCASE true; rc'],
  ['run an invalid name', 'docker run --rm --name "bad name" busybox true; rc'],
  ['run without a command uses CMD', 'echo "echo from cmd" | docker run -i --rm busybox; rc'],
  ['run --entrypoint', 'docker run --rm --entrypoint echo busybox one two; rc'],
  ['run --entrypoint empty', 'docker run --rm --entrypoint "" busybox echo plain; rc'],
  ['run -e', 'docker run --rm -e A=1 -e B="two words" busybox sh -c "echo \\$A-\\$B"; rc'],
  [
    'run -e passes through',
    'PASSED=yes docker run --rm -e PASSED -e NOT_SET busybox sh -c "echo [\\$PASSED] [\\${NOT_SET-unset}]"; rc',
  ],
  [
    'run --env-file',
    'printf "# c\\nX=1\\nY=a b\\n" >$T/env; docker run --rm --env-file $T/env busybox sh -c "echo \\$X \\$Y"; rc',
  ],
  ['run environment', 'docker run --rm --hostname h busybox env | sort; rc'],
  ['run environment with a terminal', 'docker run --rm -t --hostname h busybox env | tr -d "\\r" | sort; rc'],
  ['run -w', 'docker run --rm -w /tmp busybox pwd; rc'],
  ['run -w creates', 'docker run --rm -w /made/here busybox pwd; rc'],
  ['run -w relative', 'docker run --rm -w rel busybox pwd; rc'],
  ['run -u numeric', 'docker run --rm -u 1000:1001 busybox id; rc'],
  ['run -u uid only', 'docker run --rm -u 1000 busybox id; rc'],
  ['run -u name', 'docker run --rm -u root busybox id -u; rc'],
  ['run -u unknown', 'docker run --rm -u nosuch busybox id; rc'],
  ['run -u unknown group', 'docker run --rm -u root:nosuch busybox id; rc'],
  ['run --group-add', 'docker run --rm --group-add 42 --group-add 43 busybox id -G; rc'],
  ['run --hostname', 'docker run --rm --hostname web.example busybox hostname; rc'],
  [
    'run default hostname is the short id',
    'docker run --name $N busybox hostname >$T/h; [ "$(cat $T/h)" = "$(docker inspect -f "{{.Id}}" $N | cut -c1-12)" ] && echo same; rc',
  ],
  [
    'run --cidfile',
    'docker run --cidfile $T/cid --name $N busybox true; rc; wc -c <$T/cid; docker run --cidfile $T/cid busybox true; rc',
  ],
  [
    'run -l',
    'docker run -d --name $N -l a=1 -l b busybox sleep 60 >/dev/null; docker inspect -f "{{json .Config.Labels}}" $N; rc',
  ],
  [
    'run --label-file',
    'printf "x=1\\ny=2\\n" >$T/labels; docker create --name $N --label-file $T/labels busybox >/dev/null; docker inspect -f "{{json .Config.Labels}}" $N',
  ],
  ['run --rm removes', 'docker run --rm --name $N busybox true; docker inspect $N; rc'],
  [
    'run --rm -d removes',
    'docker run -d --rm --name $N busybox sleep 0.2 >/dev/null; docker wait $N 2>/dev/null; sleep 0.5; docker ps -aq --filter name=$N | wc -l',
  ],
  ['run -a stdout', 'docker run --rm -a stdout busybox sh -c "echo o; echo e >&2"; rc'],
  [
    'run --sig-proxy',
    'timeout -s INT 1 docker run --rm busybox sh -c "trap \\"echo got; exit 3\\" INT; while :; do sleep 0.1; done"; true',
  ],

  // -- run: confinement
  ['run --read-only', 'docker run --rm --read-only busybox touch /x; rc'],
  ['run --read-only --tmpfs', 'docker run --rm --read-only --tmpfs /x busybox sh -c "touch /x/y && echo ok"; rc'],
  [
    'run --tmpfs options',
    'docker run --rm --tmpfs /x:size=1m,mode=700 busybox sh -c "mount | grep \\" /x \\" | grep -o size=1024k; stat -c %a /x"; rc',
  ],
  ['run --cap-drop ALL', 'docker run --rm --cap-drop ALL busybox grep CapEff /proc/self/status; rc'],
  ['run default capabilities', 'docker run --rm busybox grep Cap /proc/self/status; rc'],
  ['run --cap-add', 'docker run --rm --cap-add NET_ADMIN busybox grep CapEff /proc/self/status; rc'],
  [
    'run --cap-add with prefix, drop one',
    'docker run --rm --cap-add CAP_SYS_TIME --cap-drop chown busybox grep CapEff /proc/self/status; rc',
  ],
  ['run --cap-add unknown', 'docker run --rm --cap-add NO_SUCH busybox true; rc'],
  ['run as a user has no effective capabilities', 'docker run --rm -u 1000 busybox grep Cap /proc/self/status; rc'],
  ['run seccomp is on', 'docker run --rm busybox grep -E "^Seccomp:|NoNewPrivs" /proc/self/status; rc'],
  [
    'run seccomp unconfined',
    'docker run --rm --security-opt seccomp=unconfined busybox grep ^Seccomp: /proc/self/status; rc',
  ],
  [
    'run no-new-privileges',
    'docker run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status; rc',
  ],
  ['run an unknown security option', 'docker run --rm --security-opt nonsense=1 busybox true; rc'],
  ['run seccomp denies mount', 'docker run --rm busybox mount -t tmpfs x /mnt; rc'],
  [
    'run --privileged may mount',
    'docker run --rm --privileged busybox sh -c "mkdir /m && mount -t tmpfs x /m && echo mounted"; rc',
  ],
  [
    'run masked paths',
    'docker run --rm busybox sh -c "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 >/proc/sysrq-trigger"; rc',
  ],
  ['run sysfs is read-only', 'docker run --rm busybox sh -c "mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused"; rc'],
  [
    'run --sysctl',
    'docker run --rm --sysctl net.ipv4.ip_default_ttl=33 --network none busybox cat /proc/sys/net/ipv4/ip_default_ttl; rc',
  ],
  ['run --sysctl refused', 'docker run --rm --sysctl kernel.panic=1 busybox true; rc'],
  ['run --ulimit', 'docker run --rm --ulimit nofile=100:200 busybox sh -c "ulimit -Sn; ulimit -Hn"; rc'],
  ['run --ulimit wrong', 'docker run --rm --ulimit nofile=300:200 busybox true; rc'],
  [
    'run --shm-size',
    'docker run --rm --shm-size 16m busybox sh -c "df -k /dev/shm | tail -1 | tr -s \\" \\" | cut -d\\" \\" -f2"; rc',
  ],
  [
    'run default shm',
    'docker run --rm busybox sh -c "df -k /dev/shm | tail -1 | tr -s \\" \\" | cut -d\\" \\" -f2"; rc',
  ],
  [
    'run --pid host',
    'docker run --rm --pid host busybox sh -c "[ \\$(ls /proc 2>/dev/null | grep -c ^[0-9]) -gt 5 ] && echo many"; rc',
  ],
  ['run own pid namespace', 'docker run --rm busybox sh -c "echo \\$\\$"; rc'],
  ['run --init', 'docker run --rm --init busybox sh -c "cat /proc/1/comm"; rc'],
  [
    'run --pid container',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker run --rm --pid container:$N busybox cat /proc/1/cmdline | tr "\\0" " "; rc',
  ],
  ['run --uts host with hostname', 'docker run --rm --uts host --hostname x busybox true; rc'],
  [
    'run --ipc shareable',
    'docker run -d --name $N --ipc shareable busybox sleep 60 >/dev/null; docker run --rm --ipc container:$N busybox true; rc',
  ],
  [
    'run --ipc of a private one',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker run --rm --ipc container:$N busybox true; rc',
  ],
  ['run --device', 'docker run --rm --device /dev/null:/dev/mynull:r busybox sh -c "ls -l /dev/mynull | cut -c1"; rc'],
  ['run --device missing', 'docker run --rm --device /dev/nosuchdevice busybox true; rc'],
  ['run has the default devices', 'docker run --rm busybox ls /dev; rc'],
  ['run device access is denied', 'docker run --rm busybox sh -c "mknod /tmp/sda b 8 0 && cat /tmp/sda"; rc'],
  ['run --oom-score-adj', 'docker run --rm --oom-score-adj 100 busybox cat /proc/self/oom_score_adj; rc'],

  // -- run: limits
  [
    'run -m',
    'docker run -d --name $N -m 64m --network none busybox sleep 60 >/dev/null; docker inspect -f "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}" $N; rc',
  ],
  ['run -m too small', 'docker run --rm -m 1m busybox true; rc'],
  ['run --memory-swap below memory', 'docker run --rm -m 64m --memory-swap 32m busybox true; rc'],
  [
    'run out of memory',
    'docker run --name $N -m 16m --memory-swap 16m busybox sh -c "head -c 200m /dev/zero | tail >/dev/null; echo ended" 2>/dev/null | tail -1; docker inspect -f "{{.State.OOMKilled}}" $N',
  ],
  [
    'run --cpus',
    'docker create --name $N --cpus 0.5 busybox >/dev/null; docker inspect -f "{{.HostConfig.NanoCpus}}" $N; rc',
  ],
  ['run --cpus too many', 'docker run --rm --cpus 1000 busybox true; rc'],
  ['run --cpuset-cpus', 'docker run --rm --cpuset-cpus 0 busybox grep Cpus_allowed_list /proc/self/status; rc'],
  ['run --cpuset-cpus missing', 'docker run --rm --cpuset-cpus 999 busybox true; rc'],
  [
    'run --pids-limit',
    'docker run --rm --pids-limit 5 busybox sh -c "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait" 2>&1 | grep -c fork; true',
  ],

  // -- run: mounts
  ['run -v', 'mkdir $T/d; echo data >$T/d/f; docker run --rm -v $T/d:/d busybox cat /d/f; rc'],
  ['run -v is live both ways', 'mkdir $T/d; docker run --rm -v $T/d:/d busybox sh -c "echo in >/d/f"; cat $T/d/f; rc'],
  ['run -v :ro', 'mkdir $T/d; docker run --rm -v $T/d:/d:ro busybox touch /d/f; rc'],
  ['run -v of a file', 'echo one >$T/f; docker run --rm -v $T/f:/etc/one busybox cat /etc/one; rc'],
  ['run -v relative destination', 'docker run --rm -v /tmp:rel busybox true; rc'],
  ['run -v bad mode', 'docker run --rm -v /tmp:/x:nonsense busybox true; rc'],
  [
    'run --mount bind',
    'mkdir $T/d; echo m >$T/d/f; docker run --rm --mount type=bind,src=$T/d,dst=/m,ro busybox cat /m/f; rc',
  ],
  ['run --mount bind of nothing', 'docker run --rm --mount type=bind,src=/no/such/source,dst=/m busybox true; rc'],
  [
    'run --mount tmpfs',
    'docker run --rm --mount type=tmpfs,dst=/t,tmpfs-size=2097152,tmpfs-mode=1770 busybox sh -c "stat -c %a /t; df -k /t | tail -1 | tr -s \\" \\" | cut -d\\" \\" -f2"; rc',
  ],
  ['run --mount duplicate', 'docker run --rm --mount type=tmpfs,dst=/t --mount type=tmpfs,dst=/t busybox true; rc'],
  ['run --mount wrong type', 'docker run --rm --mount type=nonsense,dst=/t busybox true; rc'],

  // -- networks at hand
  ['run --network none', 'docker run --rm --network none busybox ls /sys/class/net; rc'],
  ['run --network host', 'docker run --rm --network host busybox true; rc'],
  ['run --network missing', 'docker run --rm --network nosuchnet busybox true; rc'],
  ['run bridge has an address', 'docker run --rm busybox sh -c "ip -4 addr show eth0 | grep -c inet"; rc'],
  ['run -p', 'docker run -d --name $N -p 127.0.0.1:18233:80 busybox sleep 60 >/dev/null; docker port $N; rc'],
  ['run -p wrong', 'docker run --rm -p 99999:80 busybox true; rc'],
  [
    'run -p used',
    'docker run -d --name $N -p 18234:80 busybox sleep 60 >/dev/null; docker run --rm -p 18234:80 busybox true 2>&1 | grep -o "port is already allocated" | head -1; rc',
  ],
  [
    'run /etc/hosts',
    'docker run --rm --network none --hostname hh --add-host one:10.1.2.3 busybox cat /etc/hosts | grep -E "localhost|one" ; rc',
  ],

  // -- create, start, stop
  ['create and start', 'docker create --name $N busybox echo started; docker start -a $N; rc'],
  ['create with a missing image', 'docker create --pull never gantry-no-such-image; rc'],
  ['start twice', 'docker run -d --name $N busybox sleep 60 >/dev/null; docker start $N; rc'],
  ['start a missing one', 'docker start $N-none; rc'],
  [
    'start -a again keeps the file system',
    'docker run --name $N busybox sh -c "date >>/log; wc -l </log"; docker start -a $N; rc',
  ],
  [
    'stop obeys',
    'docker run -d --name $N busybox sh -c "trap \\"exit 5\\" TERM; while :; do sleep 0.1; done" >/dev/null; sleep 0.4; docker stop $N; rc; docker inspect -f "{{.State.Status}} {{.State.ExitCode}}" $N',
  ],
  [
    'stop kills after its time',
    'docker run -d --name $N busybox sh -c "trap \\"\\" TERM; while :; do sleep 0.1; done" >/dev/null; sleep 0.4; docker stop -t 1 $N; rc; docker inspect -f "{{.State.ExitCode}}" $N',
  ],
  [
    'stop -s',
    'docker run -d --name $N busybox sh -c "trap \\"exit 9\\" USR1; while :; do sleep 0.1; done" >/dev/null; sleep 0.4; docker stop -s USR1 $N >/dev/null; docker inspect -f "{{.State.ExitCode}}" $N',
  ],
  ['stop of a stopped one', 'docker run --name $N busybox true; docker stop $N; rc'],
  ['stop of a missing one', 'docker stop $N-none; rc'],
  [
    'restart what cannot start',
    'docker create --name $N busybox nosuch >/dev/null; docker restart $N; rc; docker start $N; rc',
  ],
  [
    'run with a limit that cannot be, of an image that is not there',
    'docker run --rm --memory-swap 64m gantry-no-such-image true; rc',
  ],
  [
    'restart',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker restart -t 0 $N; rc; docker inspect -f "{{.State.Running}} {{.RestartCount}}" $N',
  ],
  [
    'kill',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker kill $N; rc; docker inspect -f "{{.State.Status}} {{.State.ExitCode}}" $N',
  ],
  [
    'kill -s',
    'docker run -d --name $N busybox sh -c "trap \\"exit 4\\" HUP; while :; do sleep 0.1; done" >/dev/null; sleep 0.4; docker kill -s HUP $N >/dev/null; docker wait $N',
  ],
  ['kill of a stopped one', 'docker create --name $N busybox >/dev/null; docker kill $N; rc'],
  ['kill of a missing one with a wrong signal', 'docker kill -s NOPE $N; rc'],
  [
    'update of what is gone from the API',
    'docker create --name $N busybox >/dev/null; docker update --kernel-memory 10m $N | sed s/$N/N/; rc',
  ],
  ['kill with a wrong signal', 'docker run -d --name $N busybox sleep 60 >/dev/null; docker kill -s NOPE $N; rc'],
  [
    'pause and unpause',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker pause $N; rc; docker inspect -f "{{.State.Status}} {{.State.Running}} {{.State.Paused}}" $N; docker pause $N; rc; docker unpause $N; rc',
  ],
  ['unpause of a running one', 'docker run -d --name $N busybox sleep 60 >/dev/null; docker unpause $N; rc'],
  ['wait', 'docker run -d --name $N busybox sh -c "sleep 0.3; exit 6" >/dev/null; docker wait $N; rc; docker wait $N'],
  [
    'rename',
    'docker create --name $N busybox >/dev/null; docker rename $N $N-2; rc; docker inspect -f "{{.Name}}" $N-2 | sed s/$N/N/; docker rename $N x; rc',
  ],
  [
    'rename to a used name',
    'docker create --name $N busybox >/dev/null; docker create --name $N-2 busybox >/dev/null; docker rename $N $N-2; rc',
  ],
  ['rm', 'docker create --name $N busybox >/dev/null; docker rm $N | sed s/$N/N/; rc; docker rm $N; rc'],
  [
    'rm of a running one',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker rm $N; rc; docker rm -f $N | sed s/$N/N/; rc',
  ],
  ['rm -f of a missing one', 'docker rm -f $N-none; rc'],
  [
    'restart policy on-failure',
    'docker run -d --name $N --restart on-failure:2 busybox sh -c "exit 1" >/dev/null; for i in $(seq 40); do [ "$(docker inspect -f "{{.State.Status}}" $N)" = exited ] && break; sleep 0.1; done; docker inspect -f "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}" $N',
  ],
  ['restart policy with --rm', 'docker run --rm --restart always busybox true; rc'],
  ['restart policy unknown', 'docker create --restart sometimes busybox; rc'],
  [
    'restart policy always comes back',
    'docker run -d --name $N --restart always busybox sleep 0.2 >/dev/null; sleep 1.2; docker inspect -f "{{.State.Running}}" $N >/dev/null; [ "$(docker inspect -f "{{.RestartCount}}" $N)" -ge 1 ] && echo restarted; docker rm -f $N >/dev/null',
  ],
  [
    'update',
    'docker run -d --name $N -m 64m busybox sleep 60 >/dev/null; docker update -m 128m --memory-swap 256m --restart unless-stopped $N | sed s/$N/N/; rc; docker inspect -f "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}" $N',
  ],
  [
    'health check',
    'docker run -d --name $N --health-cmd true --health-interval 200ms busybox sleep 60 >/dev/null; for i in $(seq 40); do s=$(docker inspect -f "{{.State.Health.Status}}" $N); [ $s = healthy ] && break; sleep 0.1; done; echo $s; docker ps --filter name=$N --format "{{.Status}}"',
  ],
  [
    'health check fails',
    'docker run -d --name $N --health-cmd "echo sick; exit 1" --health-interval 100ms --health-retries 2 busybox sleep 60 >/dev/null; for i in $(seq 40); do s=$(docker inspect -f "{{.State.Health.Status}}" $N); [ $s = unhealthy ] && break; sleep 0.1; done; echo $s; docker inspect -f "{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}" $N',
  ],

  // -- ps
  [
    'ps -a table',
    'docker create --name $N busybox echo "a b" >/dev/null; docker ps -a --filter name=$N | sed s/$N/N/g | tr -s " "',
  ],
  [
    'ps shows running only',
    'docker create --name $N busybox >/dev/null; docker ps -q --filter name=$N | wc -l; docker ps -aq --filter name=$N | wc -l',
  ],
  [
    'ps statuses',
    'docker run -d --name $N-up busybox sleep 60 >/dev/null; docker run --name $N-ex busybox sh -c "exit 3"; docker create --name $N-cr busybox >/dev/null; docker ps -a --filter name=$N --format "{{.Names}} {{.State}} {{.Status}}" | sed s/$N/N/ | sort',
  ],
  [
    'ps filter status',
    'docker run --name $N busybox true; docker ps -a --filter name=$N --filter status=exited --format "{{.State}}"; docker ps -a --filter name=$N --filter status=running -q | wc -l',
  ],
  [
    'ps filter exited',
    'docker run --name $N busybox sh -c "exit 3"; docker ps -a --filter exited=3 --filter name=$N --format "{{.State}}"; docker ps -a --filter exited=4 --filter name=$N -q | wc -l',
  ],
  [
    'ps filter label',
    'docker create --name $N -l k=v busybox >/dev/null; docker ps -a --filter label=k=v --filter name=$N -q | wc -l; docker ps -a --filter label=k=w --filter name=$N -q | wc -l; docker ps -a --filter label=k --filter name=$N -q | wc -l',
  ],
  [
    'ps filter ancestor',
    'docker create --name $N busybox >/dev/null; docker ps -a --filter ancestor=busybox --filter name=$N -q | wc -l; docker ps -a --filter ancestor=gantry-none --filter name=$N -q | wc -l',
  ],
  [
    'ps filter before and since',
    'docker create --name $N-1 busybox >/dev/null; docker create --name $N-2 busybox >/dev/null; docker ps -a --filter before=$N-2 --filter name=$N --format "{{.Names}}" | sed s/$N/N/; docker ps -a --filter since=$N-1 --filter name=$N --format "{{.Names}}" | sed s/$N/N/',
  ],
  ['ps filter unknown', 'docker ps --filter nonsense=1; rc'],
  ['ps filter wrong status', 'docker ps --filter status=nonsense; rc'],
  [
    'ps -n, -l, --no-trunc',
    'docker create --name $N busybox true >/dev/null; docker ps -n 1 --filter name=$N --format "{{.Names}}" | sed s/$N/N/; docker ps -l -q --filter name=$N --no-trunc | tr -d "\\n" | wc -c',
  ],
  [
    'ps --format json',
    'docker create --name $N busybox true >/dev/null; docker ps -a --filter name=$N --format json | tr "," "\\n" | cut -d: -f1 | sort',
  ],
  [
    'ps -s',
    'docker run --name $N busybox sh -c "head -c 1000 /dev/zero >/f"; docker ps -a -s --filter name=$N --format "{{.Size}}" | cut -d" " -f1',
  ],

  // -- inspect
  [
    'inspect top-level fields',
    'docker create --name $N busybox >/dev/null; docker inspect $N | grep -oE "^        \\"[A-Za-z]+\\"" | sort',
  ],
  ['inspect State', 'docker run --name $N busybox sh -c "exit 3"; docker inspect -f "{{json .State}}" $N'],
  [
    'inspect Config',
    'docker create --name $N -e A=1 -w /w -u 1 --stop-signal INT --stop-timeout 3 busybox a b >/dev/null; docker inspect -f "{{json .Config}}" $N',
  ],
  [
    'inspect HostConfig',
    'docker create --name $N busybox >/dev/null; docker inspect -f "{{json .HostConfig}}" $N | sed -E "s/\\"(LogConfig|MaskedPaths)\\":(\\{[^}]*\\{[^}]*\\}\\}|\\[[^]]*\\])/\\"\\1\\":0/g"',
  ],
  [
    'inspect Path and Args',
    'docker create --name $N --entrypoint /bin/x busybox a b >/dev/null; docker inspect -f "{{.Path}} {{json .Args}}" $N',
  ],
  [
    'inspect Mounts',
    'mkdir $T/d; docker create --name $N -v $T/d:/d:ro --mount type=tmpfs,dst=/t busybox >/dev/null; docker inspect -f "{{json .Mounts}}" $N | sed "s#$T#T#g"',
  ],
  ['inspect a missing one', 'docker inspect $N-none; rc'],
  [
    'inspect --type image',
    'docker inspect --type image busybox -f "{{.Os}} {{.Architecture}}"; docker inspect --type container busybox; rc',
  ],
  [
    'inspect by short id',
    'docker create --name $N busybox >/dev/null; i=$(docker inspect -f "{{.Id}}" $N); docker inspect -f "{{.Name}}" $(echo $i | cut -c1-6) | sed s/$N/N/; rc',
  ],

  [
    'inspect default logging',
    'docker create --name $N busybox >/dev/null; docker inspect -f "{{json .HostConfig.LogConfig}}" $N',
  ],

  // -- logs
  [
    'logs',
    'docker run --name $N busybox sh -c "echo one; echo two >&2; printf three" >/dev/null 2>&1; docker logs $N 2>$T/err; rc; cat $T/err',
  ],
  [
    'logs --tail',
    'docker run --name $N busybox seq 10 >/dev/null; docker logs --tail 3 $N; docker logs -n 0 $N; docker logs --tail all $N | wc -l',
  ],
  ['logs -t', 'docker run --name $N busybox echo x >/dev/null; docker logs -t $N'],
  [
    'logs --since and --until',
    'docker run --name $N busybox seq 3 >/dev/null; docker logs --since 1h $N | wc -l; docker logs --until 1h $N | wc -l; docker logs --since 2001-01-01 $N | wc -l',
  ],
  [
    'logs -f ends with the container',
    'docker run -d --name $N busybox sh -c "for i in 1 2 3; do echo \\$i; sleep 0.1; done" >/dev/null; docker logs -f $N; rc',
  ],
  ['logs of many lines', 'docker run --name $N busybox seq 20000 >/dev/null; docker logs $N | md5sum'],
  ['logs of a missing one', 'docker logs $N-none; rc'],
  ['logs with the driver none', 'docker run --name $N --log-driver none busybox echo x; docker logs $N; rc'],
  [
    'logs with the driver local',
    'docker run --name $N --log-driver local busybox echo x >/dev/null; docker logs $N; rc',
  ],
  ['logs with an unknown driver', 'docker run --log-driver nonsense busybox true; rc'],
  ['logs with a wrong option', 'docker create --log-opt nonsense=1 busybox; rc'],
  ['logs of a terminal', 'docker run -t --name $N busybox echo tty >/dev/null; docker logs $N | od -c | head -1'],

  // -- exec
  [
    'exec',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker exec $N echo hi; rc; docker exec $N sh -c "exit 9"; rc',
  ],
  ['exec stdin', 'docker run -d --name $N busybox sleep 60 >/dev/null; echo in | docker exec -i $N cat; rc'],
  [
    'exec stderr',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker exec $N sh -c "echo e >&2" 2>$T/e; cat $T/e',
  ],
  [
    'exec -e -w -u',
    'docker run -d --name $N -e A=1 busybox sleep 60 >/dev/null; docker exec -e B=2 -w /tmp -u 5:6 $N sh -c "echo \\$A\\$B; pwd; id -u; id -g"; rc',
  ],
  ['exec of a missing command', 'docker run -d --name $N busybox sleep 60 >/dev/null; docker exec $N nosuch; rc'],
  ['exec in a stopped one', 'docker create --name $N busybox >/dev/null; docker exec $N true; rc'],
  [
    'exec in a paused one',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker pause $N >/dev/null; docker exec $N true; rc; docker unpause $N >/dev/null',
  ],
  ['exec in a missing one', 'docker exec $N-none true; rc'],
  [
    'exec -d',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker exec -d $N sh -c "echo x >/done"; rc; sleep 0.3; docker exec $N cat /done',
  ],
  [
    'exec -t',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker exec -t $N sh -c "[ -t 1 ] && echo tty"; rc',
  ],
  [
    'exec has no more rights than the container',
    'docker run -d --name $N --cap-drop ALL busybox sleep 60 >/dev/null; docker exec $N grep -E "CapEff|^Seccomp:" /proc/self/status',
  ],
  [
    'exec --privileged',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker exec --privileged $N sh -c "[ \\$(grep CapEff /proc/self/status | cut -f2) != 00000000a80425fb ] && echo more"',
  ],
  ['exec of much output', 'docker run -d --name $N busybox sleep 60 >/dev/null; docker exec $N seq 50000 | md5sum'],

  // -- cp, diff, export, commit
  [
    'cp a file in and out',
    'docker create --name $N busybox >/dev/null; echo c >$T/f; docker cp $T/f $N:/tmp/g; rc; docker cp $N:/tmp/g $T/back; rc; cat $T/back',
  ],
  [
    'cp a directory',
    'docker create --name $N busybox >/dev/null; mkdir -p $T/a/b; echo x >$T/a/b/f; docker cp $T/a $N:/; docker cp $N:/a $T/out >/dev/null 2>&1; cat $T/out/b/f; docker cp $T/a/. $N:/tmp >/dev/null 2>&1; docker cp $N:/tmp/b/f - | tar -tf -',
  ],
  [
    'cp to a missing directory',
    'docker create --name $N busybox >/dev/null; echo c >$T/f; docker cp $T/f $N:/no/such/place; rc',
  ],
  ['cp of a missing file', 'docker create --name $N busybox >/dev/null; docker cp $N:/nosuch $T/; rc'],
  ['cp from a missing container', 'docker cp $N-none:/etc $T/; rc'],
  [
    'cp of a running one',
    'docker run -d --name $N busybox sh -c "echo live >/f; sleep 60" >/dev/null; sleep 0.3; docker cp $N:/f - | tar -xOf -; rc',
  ],
  [
    'cp keeps mode and follows with -L',
    'docker create --name $N busybox >/dev/null; echo t >$T/t; chmod 751 $T/t; ln -s t $T/l; docker cp $T/t $N:/t >/dev/null 2>&1; docker cp $N:/t - | tar -tvf - | cut -c1-10; docker cp -L $T/l $N:/l >/dev/null 2>&1; docker cp $N:/l - | tar -tvf - | cut -c1',
  ],
  [
    'cp a tar from stdin',
    'docker create --name $N busybox >/dev/null; mkdir $T/x; echo 1 >$T/x/one; tar -C $T/x -cf - one | docker cp - $N:/tmp; rc; docker cp $N:/tmp/one - | tar -xOf -',
  ],
  [
    'diff',
    'docker run --name $N busybox sh -c "echo x >/new; rm /etc/group; mkdir /d; echo y >/d/z; echo >>/etc/passwd"; docker diff $N | sort',
  ],
  [
    'export',
    'docker run --name $N busybox sh -c "echo x >/new"; docker export $N | tar -tf - | grep -E "^(new|etc/passwd|bin/busybox)$" | sort',
  ],
  [
    'commit',
    'docker run --name $N busybox sh -c "echo kept >/kept"; docker commit -m "a message" -a me -c "ENV X=1" -c "CMD cat /kept" $N $N-image >/dev/null; rc; docker run --rm $N-image; docker inspect -f "{{json .Config.Env}} {{json .Config.Cmd}} {{.Author}} {{.Comment}}" $N-image; docker rmi $N-image >/dev/null',
  ],

  // -- images
  [
    'images table',
    'docker tag busybox $N:one; docker images $N | sed s/$N/N/ | tr -s " "; docker rmi $N:one >/dev/null',
  ],
  [
    'images -q and filters',
    'docker tag busybox $N:one; docker images -q --no-trunc $N | cut -c1-7; docker images --filter reference=$N:* --format "{{.Tag}}"; docker images --filter reference=$N:two -q | wc -l; docker rmi $N:one >/dev/null; docker images --filter nonsense=1; rc',
  ],
  ['tag and rmi', 'docker tag busybox $N:one; docker rmi $N:one | sed s/$N/N/; rc; docker rmi $N:one; rc'],
  ['tag of a missing image', 'docker tag $N:none x; rc'],
  ['tag with a wrong name', 'docker tag busybox "UPPER case"; rc'],
  [
    'rmi of an image in use',
    'docker tag busybox $N:one; docker create --name $N $N:one >/dev/null; docker rmi $N:one 2>&1 | sed s/$N/N/; docker rm $N >/dev/null; docker rmi $N:one >/dev/null 2>&1; true',
  ],
  [
    'history counts links',
    'printf "FROM busybox\\nRUN ln -s /some/where /l; echo 12 >/f\\n" >$T/Dockerfile; DOCKER_BUILDKIT=0 docker build -q -t $N:b $T >/dev/null 2>&1; docker history --format "{{.Size}}" $N:b | head -1; docker rmi $N:b >/dev/null',
  ],
  ['history', 'docker history --format "{{.CreatedBy}}|{{.Comment}}" busybox'],
  [
    'image inspect',
    'docker image inspect -f "{{json .Config.Cmd}} {{.Os}}/{{.Architecture}} {{.RootFS.Type}} {{len .RootFS.Layers}}" busybox; docker image inspect $N:none; rc',
  ],
  ['image inspect top-level fields', 'docker image inspect busybox | grep -oE "^        \\"[A-Za-z]+\\"" | sort'],
  [
    'save and load',
    'docker tag busybox $N:s; docker save -o $T/s.tar $N:s; rc; docker rmi $N:s >/dev/null; docker load -i $T/s.tar | sed s/$N/N/; rc; docker image inspect -f "{{index .RepoTags 0}}" $N:s >/dev/null; rc; docker rmi $N:s >/dev/null',
  ],
  [
    'save is one archive of both kinds',
    'docker tag busybox $N:s; docker save $N:s | tar -tf - | grep -E "^(manifest.json|index.json|oci-layout|repositories)$" | sort; docker rmi $N:s >/dev/null',
  ],
  ['load of nonsense', 'echo nonsense | docker load; rc'],
  ['save of a missing image', 'docker save -o $T/x.tar $N:none; rc'],
  [
    'import',
    'mkdir $T/r; echo i >$T/r/f; tar -C $T/r -cf - . | docker import -m msg -c "CMD [\\"x\\"]" - $N:i >/dev/null; rc; docker inspect -f "{{json .Config.Cmd}} {{.Comment}}" $N:i; docker rmi $N:i >/dev/null',
  ],
  ['pull of an invalid name', 'docker pull "a b"; rc'],
  ['image prune', 'docker image prune -f --filter label=$N-none; rc'],

  // -- others
  [
    'top',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker top $N | head -1 | tr -s " "; docker top $N | tail -1 | grep -o "sleep 60"; docker top $N -o pid,comm | head -1 | tr -s " "',
  ],
  ['top with words that ps refuses', 'docker run -d --name $N busybox sleep 60 >/dev/null; docker top $N -o bogus; rc'],
  ['top of a stopped one', 'docker create --name $N busybox >/dev/null; docker top $N; rc'],
  [
    'stats --no-stream',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker stats --no-stream --format "{{.Name}} {{.PIDs}}" $N | sed s/$N/N/; rc',
  ],
  [
    'port of nothing',
    'docker run -d --name $N --network none busybox sleep 60 >/dev/null; docker port $N; rc; docker port $N 80; rc',
  ],
  [
    'events',
    's=$(date +%s.%N); docker run --rm --name $N busybox true; docker events --since $s --until $(date +%s.%N) --filter container=$N --format "{{.Type}} {{.Action}}"',
  ],
  [
    'events of a life',
    's=$(date +%s.%N); docker run -d --name $N busybox sh -c "trap \\"exit 0\\" TERM; while :; do sleep 0.1; done" >/dev/null; sleep 0.4; docker exec $N true; docker stop $N >/dev/null; docker start $N >/dev/null; docker kill $N >/dev/null; docker rm $N >/dev/null; sleep 0.2; docker events --since $s --until $(date +%s.%N) --filter container=$N --format "{{.Action}}"',
  ],
  ['events with an unknown filter', 'docker events --until 0 --filter nonsense=1; rc'],
  ['attach', 'docker run -d --name $N busybox sh -c "sleep 2; echo late; exit 4" >/dev/null; docker attach $N; rc'],
  ['attach to a stopped one', 'docker create --name $N busybox >/dev/null; docker attach $N; rc'],
  [
    'container prune',
    'docker create --name $N -l prune=$N busybox >/dev/null; docker container prune -f --filter label=prune=$N | tail -1; docker ps -aq --filter name=$N | wc -l',
  ],
  [
    'network ls',
    'docker network ls --format "{{.Name}} {{.Driver}} {{.Scope}}" | grep -E "^(bridge|host|none) " | sort',
  ],
  [
    'volume of a container',
    'docker volume create $N | sed s/$N/N/; docker run --rm -v $N:/v busybox sh -c "echo kept >/v/f"; docker run --rm -v $N:/v busybox cat /v/f; docker volume rm $N | sed s/$N/N/; rc; docker volume rm $N; rc',
  ],
  ['version fields', 'docker version --format "{{.Server.Os}}/{{.Server.Arch}} {{.Server.APIVersion}}"'],
  ['system df', 'docker system df --format "{{.Type}}"; rc'],
  ['a wrong flag', 'docker run --nonsense busybox; rc'],
  [
    'build classic',
    'printf "FROM busybox\\nCOPY f /f\\nRUN cat /f\\nCMD [\\"cat\\", \\"/f\\"]\\n" >$T/Dockerfile; echo built >$T/f; DOCKER_BUILDKIT=0 docker build -q -t $N:b $T >/dev/null 2>&1; rc; docker run --rm $N:b; docker rmi $N:b >/dev/null',
  ],
  ...NETWORK_CASES,
  ...VOLUME_CASES,
];
