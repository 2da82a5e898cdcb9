/** What a service's `build:` may hold, each of it honoured by a build of the engine or refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runInProcess } from '../cli/in-process.ts';
import { ComposeBench } from './support.ts';

const bench = new ComposeBench();
before(() => bench.start());
after(() => bench.close());

async function fileOf(image: string, path: string): Promise<string> {
  return bench.docker('run', '--rm', '--network=none', image, 'cat', path);
}

test('secrets, ssh, named contexts, other services, entitlements, limits, names', async () => {
  const project = bench.project('whole', {
    'compose.yaml': `services:
  app:
    image: whole-app:1
    build:
      context: app
      dockerfile_inline: |
        FROM base AS first
        RUN --mount=type=secret,id=words --mount=type=secret,id=filed \\
            cat /run/secrets/words /run/secrets/filed >/secrets
        RUN --mount=type=ssh test -S $$SSH_AUTH_SOCK && echo agent >/agent
        COPY --from=files here.txt /here.txt
        COPY --from=img /bin/busybox /copied
        ARG WHO
        RUN grep -h 10.9.8.7 /etc/hosts >/hosts; ulimit -n >/limit; df -k /dev/shm | tail -1 >/shm; echo $$WHO >/who
        RUN --network=host --security=insecure grep CapEff /proc/self/status >/caps
        FROM first AS second
        RUN exit 9
      args: {WHO: me}
      target: first
      labels: {own.label: "x y"}
      tags: [whole-app:2]
      additional_contexts:
        base: service:base
        files: ./files
        img: docker-image://busybox
      secrets: [{source: fromenv, target: words}, filed]
      ssh: [default]
      entitlements: [network.host]
      privileged: true
      extra_hosts: ["neighbour=10.9.8.7"]
      ulimits: {nofile: {soft: 99, hard: 100}}
      shm_size: 8m
  base:
    build: {context: base}
secrets:
  fromenv: {environment: WORDS}
  filed: {file: "a,b.txt"}
`,
    'a,b.txt': 'with a comma\n',
    'app/unused': '',
    'files/here.txt': 'here\n',
    'base/Dockerfile': 'FROM busybox\nRUN echo base >/base\n',
  });
  const socket = join(project.directory, 'agent');
  const agent = createServer((connection) => connection.end());
  agent.listen(socket);
  await once(agent, 'listening');
  const built = await project.try(['build', 'app'], { SSH_AUTH_SOCK: socket, WORDS: 'of the environment\n' });
  agent.close();
  assert.equal(built.code, 0, built.stderr);
  // Two were built, so each line has its service's name.
  assert.match(built.stderr, /^\[base\] Successfully tagged whole-base:latest$/m);
  assert.match(built.stderr, /^\[app\] Successfully tagged whole-app:2$/m);
  assert.doesNotMatch(built.stderr, /of the environment/);
  assert.equal(await fileOf('whole-app:2', '/secrets'), 'of the environment\nwith a comma');
  assert.equal(
    await bench.docker(
      'run',
      '--rm',
      '--network=none',
      'whole-app:1',
      'cat',
      '/agent',
      '/here.txt',
      '/who',
      '/limit',
      '/base',
    ),
    'agent\nhere\nme\n99\nbase',
  );
  assert.match(await fileOf('whole-app:1', '/hosts'), /10\.9\.8\.7\s+neighbour/);
  assert.match(await fileOf('whole-app:1', '/shm'), /\s8192\s/);
  assert.match(await fileOf('whole-app:1', '/caps'), /0*1ff/);
  const labels = JSON.parse(
    await bench.docker('image', 'inspect', '-f', '{{json .Config.Labels}}', 'whole-app:1'),
  ) as object;
  assert.deepEqual(labels, {
    'com.docker.compose.project': 'whole',
    'com.docker.compose.service': 'app',
    'own.label': 'x y',
  });
  assert.equal((await project.try(['--dry-run', 'build'], { WORDS: '', SSH_AUTH_SOCK: socket })).code, 0);
});

test('several platforms, with attestations, make an index; what runs here is for here alone', async () => {
  const project = bench.project('many', {
    'compose.yaml': `services:
  app:
    image: many-app
    build:
      context: .
      dockerfile_inline: |
        FROM scratch
        COPY compose.yaml /
        CMD ["/none"]
      platforms: [linux/amd64, linux/arm64]
      provenance: mode=max
      sbom: true
`,
  });
  await project.run('build', '-q');
  for (const platform of ['linux/amd64', 'linux/arm64'])
    assert.equal(
      await bench.docker('image', 'inspect', '--platform', platform, '-f', '{{.Architecture}}', 'many-app'),
      platform.slice(6),
    );
  await project.run('create', '--build');
  const { code } = await runInProcess(['image', 'inspect', '--platform', 'linux/arm64', 'many-app'], {
    env: bench.env,
  });
  assert.equal(code, 1, 'what was built to run here is for here alone');
  const wrong = await bench
    .project('wrong', {
      'compose.yaml': `services:
  app: {platform: linux/386, build: {context: ., platforms: [linux/amd64]}}
`,
      Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n',
    })
    .try(['build']);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /platforms must include the platform of the service, linux\/386/);
  await project.down();
});

test('caches come and go by the lines of the file, and stages can be made again', async () => {
  const project = bench.project('cached', {
    'compose.yaml': `services:
  app:
    build:
      context: .
      cache_to: ["type=local,dest=\${PLACE},mode=max"]
      cache_from: ["type=local,src=\${PLACE}"]
      no_cache_filter: [again]
`,
    Dockerfile: `FROM busybox AS kept
RUN cat /proc/sys/kernel/random/uuid >/kept
FROM kept AS again
RUN cat /proc/sys/kernel/random/uuid >/again
`,
  });
  const PLACE = join(project.directory, 'cache');
  const build = async (): Promise<string[]> => {
    const { code, stderr } = await project.try(['build'], { PLACE });
    assert.equal(code, 0, stderr);
    return (await bench.docker('run', '--rm', '--network=none', 'cached-app', 'cat', '/kept', '/again')).split('\n');
  };
  const first = await build();
  await bench.docker('builder', 'prune', '-af');
  const second = await build();
  assert.equal(second[0], first[0], 'the first stage is of the cache that was exported');
  assert.notEqual(second[1], first[1], 'the second one is made again');
});

test('what cannot be built is refused with its name: circles, images, a step that fails', async () => {
  const project = bench.project('refused', {
    'compose.yaml': `services:
  a: {build: {context: ., additional_contexts: {x: service:b}}}
  b: {build: {context: ., additional_contexts: {x: service:a}}}
  c: {build: {context: ., additional_contexts: {x: service:image}}}
  d: {build: {context: ., dockerfile_inline: "FROM busybox\\nRUN exit 3\\n"}}
  image: {image: busybox}
`,
    Dockerfile: 'FROM busybox\n',
  });
  for (const [service, words] of [
    ['a', /need each other: a → b → a/],
    ['c', /service "c" declares non-buildable service "image" as additional contexts x/],
    ['d', /failed to build d: .*non-zero code: 3/],
  ] as const) {
    const { code, stderr } = await project.try(['build', service]);
    assert.equal(code, 1);
    assert.match(stderr, words);
  }
});

test('an engine with the classic door alone is not asked for what it would leave out', async () => {
  const socket = join(bench.directory, 'classic.sock');
  const asked: string[] = [];
  const engine = createHttpServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const found = request.url!.endsWith('/_ping');
    response.writeHead(found ? 200 : 404, { 'Api-Version': '1.47', 'Content-Type': 'application/json' });
    response.end(found ? 'OK' : '{"message":"page not found"}');
  });
  engine.listen(socket);
  await once(engine, 'listening');
  after(() => {
    engine.close();
    engine.closeAllConnections();
  });
  const project = bench.project('classic', { Dockerfile: 'FROM busybox\n' });
  for (const [field, flag] of [
    ['secrets: [s]', '--secret'],
    ['privileged: true', '--allow'],
    ['additional_contexts: {x: docker-image://busybox}', '--build-context'],
    ['sbom: true', '--attest'],
    ['cache_to: ["type=inline"]', '--cache-to'],
    ['no_cache_filter: [x]', '--no-cache-filter'],
    ['platforms: [linux/amd64, linux/arm64]', '--platform with more than one'],
  ] as const) {
    project.write(
      'compose.yaml',
      `services: {app: {build: {context: ., ${field}}}}\nsecrets: {s: {file: compose.yaml}}\n`,
    );
    const { code, stderr } = await project.try(['build'], { GANTRY_HOST: `unix://${socket}` });
    assert.equal(code, 1, field);
    assert.match(stderr, /no door but that of Docker's classic builder/);
    assert.ok(stderr.includes(`${flag} is not possible with it`), stderr);
  }
  assert.deepEqual(
    asked.filter((line) => /\/build\?/.test(line) && !/gantry/.test(line)),
    [],
  );
});

test('build --print says the same as a bake file, which bake reads', async () => {
  const printed = bench.project('printed', {
    'compose.yaml': `services:
  app:
    image: registry.example/app
    build:
      context: .
      args: {A: "1", B: "$\${HOME} %{x"}
      additional_contexts: {base: "service:base", other: "docker-image://busybox"}
      labels: {l: "1"}
      tags: ["app:1"]
      cache_from: ["type=registry,ref=x"]
      cache_to: ["type=local,dest=out"]
      target: t
      secrets: [file, {source: variable, target: v}]
      ssh: ["k=./id"]
      platforms: [linux/amd64, linux/arm64]
      extra_hosts: ["h:1.2.3.4", "h:1.2.3.5"]
      ulimits: {nofile: {soft: 1, hard: 2}}
      network: none
      shm_size: 64m
      privileged: true
      provenance: mode=max
      sbom: false
      no_cache: true
  base: {build: {context: sub, dockerfile_inline: "FROM busybox\\nRUN true\\n"}}
  plain: {image: busybox}
secrets: {file: {file: ./compose.yaml}, variable: {environment: SOME}}
`,
    'sub/x': '',
  });
  const { directory } = printed;
  const labels = (name: string): Record<string, string> => ({
    'com.docker.compose.project': 'printed',
    'com.docker.compose.service': name,
  });
  const ended = await printed.try(['build', '--print', '--push', '--build-arg', 'C=3'], { SOME: 'value' });
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(JSON.parse(ended.stdout), {
    group: { default: { targets: ['base', 'app'] } },
    target: {
      app: {
        context: directory,
        contexts: { base: 'target:base', other: 'docker-image://busybox' },
        dockerfile: join(directory, 'Dockerfile'),
        args: { A: '1', B: '$${HOME} %%{x', C: '3' },
        labels: { l: '1', ...labels('app') },
        tags: ['registry.example/app', 'app:1'],
        'cache-from': ['type=registry,ref=x'],
        'cache-to': ['type=local,dest=out'],
        target: 't',
        secret: [`id=file,type=file,src=${join(directory, 'compose.yaml')}`, 'id=v,type=env,env=SOME'],
        ssh: [`k=${join(directory, 'id')}`],
        platforms: ['linux/amd64', 'linux/arm64'],
        'no-cache': true,
        network: 'none',
        'shm-size': '67108864',
        ulimits: ['nofile=1:2'],
        entitlements: ['security.insecure'],
        'extra-hosts': { h: '1.2.3.4,1.2.3.5' },
        output: ['type=registry'],
        attest: ['type=provenance,mode=max', 'type=sbom,disabled=true'],
      },
      base: {
        context: join(directory, 'sub'),
        'dockerfile-inline': 'FROM busybox\nRUN true\n',
        args: { C: '3' },
        labels: labels('base'),
        tags: ['printed-base'],
        output: ['type=docker'],
      },
    },
  });
  printed.write('bake.json', ended.stdout);
  const read = JSON.parse(await bench.docker('bake', '-f', join(directory, 'bake.json'), '--print')) as {
    target: Record<string, { args: Record<string, string> }>;
  };
  assert.deepEqual(read.target['app']!.args, { A: '1', B: '$${HOME} %%{x', C: '3' });
  assert.equal(
    (await printed.run('build', '--print', '--builder', 'default', 'plain')).stdout.includes('"target": {}'),
    true,
  );
  assert.match((await printed.try(['build', '--builder', 'other'])).stderr, /no builder "other" found/);
});
