import type { Case } from './buildx-cases.ts';

const cases: Case[] = [];
const it = (name: string, script: string): void =>
  void cases.push({ name: `compose: ${name}`, script: PRELUDE + script, always: true });
const also = (name: string, script: string): void =>
  void cases.push({ name: `compose: ${name}`, script: PRELUDE + script, always: false });

/** `c …` is Compose, of which only the errors are shown; `state` is what a project is to the engine. */
const PRELUDE = `
c() { docker compose "$@" 2>$T/err; r=$?; [ $r = 0 ] || grep -v '^time=\\|^ ' $T/err | tail -3; return $r; }
state() { docker ps -a --filter label=com.docker.compose.project=$N --format '{{.Names}} {{.Image}} {{.State}}' | sort; }
labels() { docker inspect -f '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{println}}{{end}}' "$1" | grep '^com.docker.compose' | grep -v 'config-hash\\|config_files\\|working_dir\\|version\\|image=' | sort; }
nets() { docker network ls --filter label=com.docker.compose.project=$N --format '{{.Name}} {{.Driver}}' | sort; }
vols() { docker volume ls --filter label=com.docker.compose.project=$N --format '{{.Name}}' | sort; }
yaml() { cat >compose.yaml; }
`;

const TWO = `yaml <<'Y'
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    labels: { mine: "1" }
    environment: { A: "1" }
    volumes: [ "data:/data" ]
  db:
    image: busybox
    command: sh -c 'echo ready; sleep 600'
    stop_grace_period: 0s
volumes: { data: {} }
Y
`;
const ONE = `yaml <<'Y'
services:
  web: { image: busybox, command: sleep 600, stop_grace_period: 0s }
Y
`;

it(
  'up, ps, down',
  `${TWO}c up -d; rc; state; labels $N-web-1; nets; vols; c ps --format '{{.Name}} {{.Service}} {{.State}}' | sort; c down; rc; state; nets; vols; c down -v; rc; vols`,
);
also(
  'up again changes nothing',
  `${ONE}c up -d; a=$(docker ps -q --filter name=$N-web-1); c up -d; rc; [ "$a" = "$(docker ps -q --filter name=$N-web-1)" ] && echo same`,
);
also(
  'up of a changed service makes it anew',
  `${ONE}c up -d; a=$(docker ps -q --filter name=$N-web-1); sed -i 's/600/700/' compose.yaml; c up -d; rc; [ "$a" = "$(docker ps -q --filter name=$N-web-1)" ] || echo other; state`,
);
also(
  'up --force-recreate',
  `${ONE}c up -d; a=$(docker ps -q --filter name=$N-web-1); c up -d --force-recreate; rc; [ "$a" = "$(docker ps -q --filter name=$N-web-1)" ] || echo other`,
);
also(
  'up --no-recreate',
  `${ONE}c up -d; a=$(docker ps -q --filter name=$N-web-1); sed -i 's/600/700/' compose.yaml; c up -d --no-recreate; rc; [ "$a" = "$(docker ps -q --filter name=$N-web-1)" ] && echo same`,
);
also('up of one service', `${TWO}c up -d db; rc; state`);
also('up --no-start', `${TWO}c up --no-start; rc; state`);
it('up --scale, then less', `${ONE}c up -d --scale web=3; rc; state; c up -d --scale web=1; rc; state`);
also('scale', `${ONE}c up -d; c scale web=2; rc; state`);
also(
  'up in front of a terminal that ends',
  `yaml <<'Y'
services:
  one: { image: busybox, command: echo said }
Y
docker compose up 2>/dev/null | grep -o 'said$'; rc; state`,
);
also(
  'up --abort-on-container-exit and its code',
  `yaml <<'Y'
services:
  one: { image: busybox, command: sh -c 'exit 4' }
  two: { image: busybox, command: sleep 600, stop_grace_period: 0s }
Y
docker compose up --abort-on-container-exit >/dev/null 2>&1; rc`,
);
also(
  'up --exit-code-from',
  `yaml <<'Y'
services:
  one: { image: busybox, command: sh -c 'exit 5' }
Y
docker compose up --exit-code-from one >/dev/null 2>&1; rc`,
);
also(
  'up --wait of a healthy service',
  `yaml <<'Y'
services:
  one:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    healthcheck: { test: "true", interval: 1s }
Y
c up -d --wait; rc; docker inspect -f '{{.State.Health.Status}}' $N-one-1`,
);
also(
  'up --wait of one that ends badly',
  `yaml <<'Y'
services:
  one: { image: busybox, command: sh -c 'exit 3' }
Y
c up -d --wait >/dev/null; rc`,
);
it(
  'depends_on with conditions',
  `yaml <<'Y'
services:
  init: { image: busybox, command: "true" }
  db:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    healthcheck: { test: "true", interval: 1s }
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    depends_on:
      init: { condition: service_completed_successfully }
      db: { condition: service_healthy }
Y
c up -d; rc; state; docker inspect -f '{{index .Config.Labels "com.docker.compose.depends_on"}}' $N-web-1 | tr ',' '\\n' | sort`,
);
also(
  'depends_on of one that fails',
  `yaml <<'Y'
services:
  init: { image: busybox, command: sh -c 'exit 2' }
  web:
    image: busybox
    command: sleep 600
    depends_on: { init: { condition: service_completed_successfully } }
Y
c up -d >/dev/null; rc; state`,
);
also(
  'a circle of dependencies',
  `yaml <<'Y'
services:
  a: { image: busybox, depends_on: [ b ] }
  b: { image: busybox, depends_on: [ a ] }
Y
c up -d >/dev/null; rc`,
);

// the life of containers
it(
  'stop, start, restart, kill, rm',
  `${ONE}c up -d; c stop; rc; state; c start; rc; state; c restart -t 0; rc; state; c kill; rc; state; c rm -f; rc; state`,
);
also('stop of one service', `${TWO}c up -d; c stop -t 0 web; rc; state`);
also('pause and unpause', `${ONE}c up -d; c pause; rc; state; c unpause; rc; state`);
also('create', `${TWO}c create; rc; state; c start; rc; state`);
also('rm of what runs', `${ONE}c up -d; c rm -f; rc; state; c rm -fs; rc; state`);
also('kill -s', `${ONE}c up -d; c kill -s USR1; rc; state`);
also(
  'wait',
  `yaml <<'Y'
services:
  one: { image: busybox, command: sh -c 'sleep 1; exit 7' }
Y
c up -d; c wait one; rc`,
);
also('down --rmi and --remove-orphans', `${TWO}c up -d; ${ONE}c down --remove-orphans; rc; state; nets`);
also('orphans are named', `${TWO}c up -d; ${ONE}docker compose up -d 2>&1 | grep -c 'orphan containers'; state`);
also('down of nothing', `${ONE}c down; rc`);
also('down -t', `${ONE}c up -d; c down -t 0; rc; state`);

// looking
also(
  'ps in its forms',
  `${TWO}c up -d; c ps -q | wc -l; c ps --services | sort; c ps -a --format json | head -1 | grep -o '"Service":"[a-z]*"'; c ps web --format '{{.Name}}'; c ps --status exited -q; rc`,
);
it(
  'ls',
  `${ONE}c up -d; docker compose ls --format json | tr ',' '\\n' | grep -A1 '"Name":"'$N | grep -o 'running([0-9]*)'; c stop -t 0; docker compose ls -a --filter name=$N -q; rc`,
);
it(
  'logs',
  `yaml <<'Y'
services:
  one: { image: busybox, command: sh -c 'echo a; echo b' }
Y
c up -d; sleep 1; c logs --no-color --no-log-prefix one; rc; c logs --no-color -n 1 | cut -d'|' -f2; c logs --no-color nosuch; rc`,
);
also(
  'logs -t and --since',
  `yaml <<'Y'
services:
  one: { image: busybox, command: echo a }
Y
c up -d; sleep 1; c logs --no-color --no-log-prefix -t one | cut -d' ' -f2; c logs --no-color --since 1h --no-log-prefix one; rc`,
);
also('top', `${ONE}c up -d; c top | grep -c 'sleep 600'; rc`);
also(
  'port',
  `yaml <<'Y'
services:
  web: { image: busybox, command: sleep 600, stop_grace_period: 0s, ports: [ "127.0.0.1::80" ] }
Y
c up -d; c port web 80 | cut -d: -f1; rc; c port web 81 | sed 's/: [0-9]*/: N/'`,
);
also('images', `${ONE}c up -d; c images --format json | grep -o '"Repository":"busybox"'; rc; c images -q | wc -l`);
also('stats', `${ONE}c up -d; docker compose stats --no-stream --format '{{.Name}}' 2>/dev/null; rc`);
also(
  'events',
  `${ONE}(timeout 4 docker compose events --json >$T/ev 2>/dev/null); true & sleep 1; c up -d; c stop -t 0; wait; grep -o '"action":"[a-z]*"' $T/ev | sort -u | head -6`,
);
also('volumes', `${TWO}c up -d; c volumes -q; rc`);
also('version', `docker compose version --short | cut -d. -f1; rc`);

// inside
it(
  'exec',
  `${ONE}c up -d; c exec -T web echo inside; rc; c exec -T web sh -c 'exit 6'; rc; c exec -T -e X=1 -w /tmp -u 5 web sh -c 'echo $X $PWD $(id -u)'; rc; c exec -T nosuch true >/dev/null; rc`,
);
also('exec with stdin', `${ONE}c up -d; echo hi | c exec -T web cat; rc`);
also(
  'exec of a replica',
  `${ONE}c up -d --scale web=2; c exec -T --index 2 web hostname >$T/h; rc; [ "$(cat $T/h)" = "$(docker inspect -f '{{.Config.Hostname}}' $N-web-2)" ] && echo same`,
);
it(
  'run',
  `${TWO}docker compose run --rm web echo ran 2>/dev/null; rc; docker compose run --rm web sh -c 'exit 8' 2>/dev/null; rc; docker compose run --rm -T -e Q=1 -w /tmp web sh -c 'echo $A $Q $PWD' 2>/dev/null; docker compose run -d --name $N-own web sleep 600 >/dev/null 2>&1; labels $N-own | grep -v number`,
);
also(
  'run without dependencies',
  `yaml <<'Y'
services:
  db: { image: busybox, command: sleep 600, stop_grace_period: 0s }
  web: { image: busybox, depends_on: [ db ] }
Y
docker compose run --rm --no-deps web true 2>/dev/null; state; docker compose run --rm web true 2>/dev/null; rc; state`,
);
also('run --entrypoint and stdin', `${ONE}echo in | docker compose run --rm -T --entrypoint cat web 2>/dev/null; rc`);
also(
  'cp',
  `${ONE}c up -d; echo f >f; c cp f web:/f; rc; c exec -T web cat /f; c cp web:/f g; rc; cat g; c cp nosuch web:/x >/dev/null; rc`,
);
also(
  'commit and export',
  `${ONE}c up -d; c exec -T web touch /made; c commit web $N:made >/dev/null; rc; docker run --rm --network none $N:made ls /made; c export -o e.tar web; rc; tar tf e.tar | grep -c '^made$'`,
);
also(
  'attach',
  `yaml <<'Y'
services:
  one: { image: busybox, command: sh -c 'sleep 2; echo attached' }
Y
c up -d; docker compose attach --no-stdin one 2>/dev/null; rc`,
);

// building
it(
  'build, up --build',
  `mkdir app; printf 'FROM busybox\\nARG V=1\\nRUN echo $V >/v\\nCMD cat /v\\n' >app/Dockerfile; yaml <<'Y'
services:
  app: { build: { context: app, args: { V: two }, labels: { l: x } } }
Y
c build -q; rc; docker images --format '{{.Repository}}' | grep $N; docker image inspect -f '{{json .Config.Labels}}' $N-app | tr ',' '\\n' | grep '"l"'; docker compose up --build 2>/dev/null | grep -o 'two$'; rc; sed -i 's/two/three/' compose.yaml; docker compose up --build 2>/dev/null | grep -o 'three$'`,
);
also(
  'build of one service, with arguments',
  `mkdir app; printf 'FROM busybox\\nARG V=1\\nRUN echo $V >/v\\n' >app/Dockerfile; yaml <<'Y'
services:
  a: { build: app }
  b: { build: app }
Y
c build -q --build-arg V=9 a; rc; docker images --format '{{.Repository}}' | grep $N; docker run --rm --network none $N-a cat /v`,
);
also(
  'build that fails',
  `mkdir app; printf 'FROM busybox\\nRUN exit 3\\n' >app/Dockerfile; yaml <<'Y'
services:
  a: { build: app }
Y
c build >/dev/null; rc; c up -d >/dev/null; rc; state`,
);
also(
  'an inline Dockerfile',
  `yaml <<'Y'
services:
  a:
    build: { context: ., dockerfile_inline: "FROM busybox\\nRUN echo inline >/i\\n" }
    command: cat /i
Y
docker compose up 2>/dev/null | grep -o 'inline$'; rc`,
);
also(
  'build targets and secrets',
  `printf 'FROM busybox AS one\\nRUN --mount=type=secret,id=s cat /run/secrets/s >/s\\nFROM one AS two\\nRUN echo two >/t\\n' >Dockerfile; echo hidden >s.txt; yaml <<'Y'
services:
  a: { build: { context: ., target: one, secrets: [ s ] }, command: cat /s }
secrets: { s: { file: s.txt } }
Y
docker compose up 2>/dev/null | grep -o 'hidden$'; rc`,
);
also(
  'additional contexts',
  `mkdir more; echo m >more/f; printf 'FROM busybox\\nCOPY --from=more f /f\\n' >Dockerfile; yaml <<'Y'
services:
  a: { build: { context: ., additional_contexts: { more: ./more } }, command: cat /f }
Y
docker compose up 2>/dev/null | grep -o 'm$'; rc`,
);
also(
  'one service built on another',
  `yaml <<'Y'
services:
  base: { build: { context: ., dockerfile_inline: "FROM busybox\\nRUN echo base >/b\\n" } }
  app:
    build:
      context: .
      dockerfile_inline: "FROM base\\nRUN cp /b /c\\n"
      additional_contexts: { base: "service:base" }
    command: cat /c
Y
c build -q; rc; docker run --rm --network none $N-app cat /c`,
);
also(
  'build --print',
  `mkdir app; echo FROM busybox >app/Dockerfile; yaml <<'Y'
services:
  a: { build: app }
Y
c build --print | grep -c '"target"'; rc`,
);
it(
  'build without bake: Compose is the client of the builder',
  `mkdir app; printf 'FROM busybox\nARG V=1\nRUN echo $V >/v\n' >app/Dockerfile; yaml <<'Y'
services:
  a: { build: { context: app, args: { V: two }, labels: { l: x } } }
  b: { build: { dockerfile_inline: "FROM busybox\\nRUN echo inline >/v\\n", tags: [ "$N-extra:1" ] } }
Y
export COMPOSE_BAKE=false; c build -q; rc; docker images --format '{{.Repository}}' | grep $N | sort; docker run --rm --network none $N-a cat /v; docker run --rm --network none $N-b cat /v; sed -i 's/two/three/' compose.yaml; c up --build --no-start 2>/dev/null; rc; docker run --rm --network none $N-a cat /v; sed -i 's/RUN echo $V/RUN exit 3 #/' app/Dockerfile; c build -q 2>/dev/null; rc`,
);
also(
  'build --check',
  `mkdir app; printf 'from busybox\nRUN true\nCMD echo x\n' >app/Dockerfile; yaml <<'Y'
services:
  a: { build: app }
  b: { build: { dockerfile_inline: "FROM busybox\\nRUN true\\n" } }
Y
for s in a b; do docker compose build --check $s >$T/out 2>&1; rc; grep -a '^WARNING' $T/out | sort; done`,
);
it(
  'watch',
  `mkdir src; echo one >src/f; printf 'FROM busybox\\nCOPY src /src\\n' >Dockerfile; yaml <<'Y'
services:
  a:
    build: .
    command: sleep 600
    stop_grace_period: 0s
    develop: { watch: [ { action: sync, path: src, target: /src } ] }
Y
c up -d --build; (timeout 60 docker compose watch --no-up >$T/w 2>&1) & w=$!; for i in $(seq 100); do grep -q 'Watch enabled' $T/w && break; sleep 0.2; done; echo two >src/f; for i in $(seq 100); do [ "$(docker compose exec -T a cat /src/f 2>/dev/null)" = two ] && break; sleep 0.2; done; c exec -T a cat /src/f; kill $w 2>/dev/null; wait $w 2>/dev/null; true`,
);

// the model
also(
  'config',
  `${TWO}c config --services | sort; c config --volumes; c config --images | sort -u; c config -q; rc; c config --hash web | cut -d' ' -f1`,
);
also('config in JSON', `${ONE}c config --format json | grep -c '"image": "busybox"'; rc`);
also(
  'a file that is no project',
  `echo 'services: [1]' >compose.yaml; c config >/dev/null; rc; echo 'x: [' >compose.yaml; c config >/dev/null; rc; rm compose.yaml; c config >/dev/null; rc`,
);
also(
  'variables, .env and --env-file',
  `echo V=env >.env; echo V=file >other; yaml <<'Y'
services:
  a: { image: "busybox", command: "echo \${V:-none} \${W:-dash}" }
Y
c config | grep command -A4 | grep -- '- ' ; c --env-file other config | grep -- '- file'; W=x c config | grep -c -- '- x'`,
);
also(
  'profiles',
  `yaml <<'Y'
services:
  a: { image: busybox, command: sleep 600, stop_grace_period: 0s }
  b: { image: busybox, command: sleep 600, stop_grace_period: 0s, profiles: [ extra ] }
Y
c up -d; state; c --profile extra up -d; rc; state`,
);
also(
  'several files',
  `${ONE}cat >more.yaml <<'Y'
services:
  web: { environment: { B: "2" } }
  two: { image: busybox, command: sleep 600, stop_grace_period: 0s }
Y
c -f compose.yaml -f more.yaml up -d; rc; docker inspect -f '{{json .Config.Env}}' $N-web-1; c -f compose.yaml -f more.yaml down -t 0; rc`,
);
also(
  'extends and anchors',
  `yaml <<'Y'
x-common: &common { image: busybox, command: sleep 600, stop_grace_period: 0s }
services:
  a: { <<: *common, environment: { X: "1" } }
  b: { extends: a, environment: { Y: "2" } }
Y
c up -d; rc; docker inspect -f '{{json .Config.Env}}' $N-b-1 | tr -d '[]' | tr ',' '\\n' | sort`,
);
also(
  '-p and the name in the file',
  `yaml <<'Y'
name: ignored
services:
  web: { image: busybox, command: sleep 600, stop_grace_period: 0s }
Y
c -p $N up -d; rc; state; c -p $N down -t 0`,
);

// networks, volumes, configuration
it(
  'networks: aliases and addresses',
  `yaml <<'Y'
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    networks: { front: { aliases: [ www ] }, back: {} }
  db:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    networks: [ back ]
networks:
  front: {}
  back: { internal: true }
Y
c up -d; rc; nets; docker network inspect -f '{{.Internal}}' \${N}_back; c exec -T web nslookup db >/dev/null 2>&1; rc; docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{json $v.Aliases}}{{println}}{{end}}' $N-web-1 | grep -c www`,
);
also(
  'services find each other',
  `${TWO}c up -d; c exec -T web ping -c 1 db >/dev/null; rc; c exec -T web ping -c 1 $N-db-1 >/dev/null; rc`,
);
also(
  'an external network',
  `docker network create $N-ext >/dev/null; yaml <<'Y'
services:
  web: { image: busybox, command: sleep 600, stop_grace_period: 0s, networks: [ ext ] }
networks: { ext: { external: true, name: "\${COMPOSE_PROJECT_NAME}-ext" } }
Y
c up -d; rc; docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' $N-web-1; c down -t 0; docker network ls -q --filter name=$N-ext | wc -l`,
);
also(
  'an external network that is not there',
  `yaml <<'Y'
services:
  web: { image: busybox, networks: [ ext ] }
networks: { ext: { external: true, name: nosuchnet } }
Y
c up -d; rc`,
);
also(
  'network_mode',
  `yaml <<'Y'
services:
  web: { image: busybox, command: sleep 600, stop_grace_period: 0s, network_mode: none }
  side: { image: busybox, command: sleep 600, stop_grace_period: 0s, network_mode: "service:web" }
Y
c up -d; rc; docker inspect -f '{{.HostConfig.NetworkMode}}' $N-web-1; docker inspect -f '{{.HostConfig.NetworkMode}}' $N-side-1 | cut -d: -f1`,
);
also(
  'volumes keep what is in them',
  `${TWO}c up -d; c exec -T web sh -c 'echo kept >/data/f'; c down -t 0; c up -d; c exec -T web cat /data/f; c down -v -t 0; vols`,
);
also(
  'an external volume that is not there',
  `yaml <<'Y'
services:
  web: { image: busybox, volumes: [ "v:/v" ] }
volumes: { v: { external: true, name: nosuchvol } }
Y
c up -d; rc`,
);
also(
  'binds and tmpfs',
  `mkdir d; echo b >d/f; yaml <<'Y'
services:
  web:
    image: busybox
    command: sh -c 'cat /d/f; touch /d/x 2>&1 | grep -o Read-only; grep -c " /t " /proc/mounts'
    volumes: [ "./d:/d:ro" ]
    tmpfs: [ /t ]
Y
docker compose up 2>/dev/null | cut -d'|' -f2 | grep -v '^$' | grep -v 'exited\\|Attaching'; rc`,
);
also(
  'secrets and configs',
  `echo s >s.txt; yaml <<'Y'
services:
  web:
    image: busybox
    command: sh -c 'cat /run/secrets/s /conf'
    secrets: [ s ]
    configs: [ { source: c, target: /conf } ]
secrets: { s: { file: s.txt } }
configs: { c: { content: "configured" } }
Y
docker compose up 2>/dev/null | grep -o 's$\\|configured$' | sort -u; rc`,
);
also(
  'options of a service',
  `yaml <<'Y'
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    container_name: \${COMPOSE_PROJECT_NAME}-mine
    hostname: hh
    user: "5"
    working_dir: /tmp
    read_only: true
    cap_drop: [ ALL ]
    cap_add: [ NET_ADMIN ]
    restart: unless-stopped
    mem_limit: 64m
    extra_hosts: [ "x:10.0.0.1" ]
    dns: [ 10.9.9.9 ]
    sysctls: { net.ipv4.ip_forward: "0" }
    ulimits: { nofile: 99 }
    shm_size: 8m
    stop_signal: SIGINT
    expose: [ "80" ]
    logging: { driver: json-file, options: { max-size: 1m } }
Y
c up -d; rc; docker inspect -f '{{.Name}} {{.Config.Hostname}} {{.Config.User}} {{.Config.WorkingDir}} {{.HostConfig.ReadonlyRootfs}} {{json .HostConfig.CapDrop}} {{json .HostConfig.CapAdd}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Memory}} {{.HostConfig.Init}} {{json .HostConfig.ExtraHosts}} {{json .HostConfig.Dns}} {{json .HostConfig.Sysctls}} {{json .HostConfig.Ulimits}} {{.HostConfig.ShmSize}} {{.Config.StopSignal}} {{json .Config.ExposedPorts}} {{json .HostConfig.LogConfig}}' $N-mine; docker rm -f $N-mine >/dev/null`,
);
also(
  'deploy limits and replicas',
  `yaml <<'Y'
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    deploy: { replicas: 2, resources: { limits: { memory: 32m, pids: 50 } } }
Y
c up -d; rc; state; docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' $N-web-1`,
);
also(
  'an image that is not there',
  `yaml <<'Y'
services:
  web: { image: nosuch.invalid/x, pull_policy: never }
Y
c up -d >/dev/null; rc; state`,
);
also(
  'pull of what is local',
  `yaml <<'Y'
services:
  web: { image: busybox, pull_policy: never }
Y
c pull -q; rc`,
);
also(
  'pull_policy build',
  `printf 'FROM busybox\\n' >Dockerfile; yaml <<'Y'
services:
  web: { build: ., pull_policy: build, command: sleep 600, stop_grace_period: 0s }
Y
c up -d; rc; state`,
);
also(
  'a port that is taken',
  `yaml <<'Y'
services:
  a: { image: busybox, command: sleep 600, stop_grace_period: 0s, ports: [ "127.0.0.1:18971:80" ] }
Y
c up -d; rc; docker run -d --name $N-b -p 127.0.0.1:18971:80 busybox sleep 9 >/dev/null 2>&1; rc`,
);
also('--dry-run', `${ONE}docker compose --dry-run up -d >/dev/null 2>&1; rc; state`);
export const COMPOSE_CASES: readonly Case[] = cases;
