/** Pods on one machine: manifests played on a real engine, taken down, and generated again. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { problemsOf } from './strict-schema.ts';

type Manifest = ReturnType<typeof JSON.parse>;

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-kube-'));
const SECRET = 'kube-secret-value-0815';

const WEB = `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { COLOUR: blue, app.conf: "listen = 80\\n" }
---
apiVersion: v1
kind: Secret
metadata: { name: creds }
stringData: { password: ${SECRET} }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: web-data }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: v1
kind: Service
metadata: { name: web-service }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  terminationGracePeriodSeconds: 1
  hostAliases: [{ ip: 10.9.8.7, hostnames: [legacy] }]
  initContainers:
    - { name: first, image: busybox, command: [sh, -c, 'echo prepared > /shared/state'], volumeMounts: [{ name: shared, mountPath: /shared }] }
    - { name: second, image: busybox, command: [sh, -c, 'cat /shared/state >> /data/log'], volumeMounts: [{ name: shared, mountPath: /shared }, { name: data, mountPath: /data }] }
  containers:
    - name: server
      image: busybox
      command: [sh, -c]
      args: ['echo $(GREETING) > /shared/index.html; exec httpd -f -p 80 -h /shared']
      env:
        - { name: WHO, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
        - { name: GREETING, value: hello-$(WHO) }
        - { name: MEMORY, valueFrom: { resourceFieldRef: { resource: limits.memory, divisor: 1Mi } } }
        - { name: COLOUR, valueFrom: { configMapKeyRef: { name: settings, key: COLOUR } } }
      ports: [{ name: http, containerPort: 80 }]
      resources: { limits: { memory: 64Mi, cpu: 500m }, requests: { memory: 32Mi, cpu: 100m } }
      livenessProbe: { httpGet: { path: /index.html, port: http }, periodSeconds: 1, timeoutSeconds: 5 }
      volumeMounts: [{ name: shared, mountPath: /shared }]
    - name: client
      image: busybox
      command: [sleep, '1000']
      envFrom: [{ configMapRef: { name: settings }, prefix: S_ }]
      securityContext: { runAsUser: 7, runAsGroup: 8, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: [ALL] } }
      volumeMounts:
        - { name: data, mountPath: /data }
        - { name: conf, mountPath: /etc/app }
        - { name: conf, mountPath: /etc/one.conf, subPath: app.conf }
        - { name: creds, mountPath: /etc/creds }
        - { name: fast, mountPath: /fast }
  volumes:
    - { name: shared, emptyDir: {} }
    - { name: fast, emptyDir: { medium: Memory, sizeLimit: 1Mi } }
    - { name: data, persistentVolumeClaim: { claimName: web-data } }
    - { name: conf, configMap: { name: settings, items: [{ key: app.conf, path: app.conf, mode: 0444 }] } }
    - { name: creds, secret: { secretName: creds, defaultMode: 0444 } }
`;

describe('gantry kube', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory: join(directory, 'engine') });
  const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  const ok = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await gantry(...words);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    fs.writeFileSync(path, text);
    return path;
  };
  const inside = (container: string, script: string): Promise<string> => ok('exec', container, 'sh', '-c', script);
  const validated = async (text: string): Promise<Manifest[]> => {
    const manifests = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    for (const manifest of manifests) assert.deepEqual(await problemsOf(manifest), []);
    return manifests;
  };

  before(() => daemon.start());
  after(async () => {
    const { stdout } = await gantry('ps', '-aq');
    if (stdout !== '') await gantry('rm', '-f', ...stdout.trim().split('\n'));
    await gantry('network', 'prune', '-f');
    await daemon.stop();
    await nothingLeft(daemon, directory);
  });

  test('a pod with everything: one network, one shared memory, volumes, configuration, secrets, init containers', async () => {
    const path = file('web.yaml', WEB);
    assert.match(await ok('kube', 'play', path), /^Pod: web\n[0-9a-f]{64}\n[0-9a-f]{64}\n$/);
    for (let tries = 0; ; tries++) {
      const { stdout } = await gantry('exec', 'web-client', 'wget', '-q', '-O', '-', 'http://localhost/index.html');
      if (stdout === 'hello-web\n') break;
      assert.ok(tries < 300, 'the server does not answer');
      await sleep(100);
    }
    assert.equal(
      await inside('web-client', 'cat /data/log; hostname; id -u; id -g; echo $S_COLOUR'),
      'prepared\nweb\n7\n8\nblue\n',
    );
    assert.equal(
      await inside('web-client', 'cat /etc/app/app.conf /etc/one.conf; cat /etc/creds/password'),
      `listen = 80\nlisten = 80\n${SECRET}`,
    );
    assert.match(
      await inside('web-client', 'stat -c %a /etc/app/app.conf; grep " /etc/creds/password " /proc/mounts'),
      /^444\n(tmpfs|secrets)/,
    );
    assert.match((await gantry('exec', 'web-client', 'touch', '/x')).stderr, /Read-only file system/);
    assert.match(await inside('web-client', 'df -k /fast | tail -1'), /\s1024\s/);
    assert.equal(await inside('web-server', 'echo $MEMORY $COLOUR; grep -c legacy /etc/hosts'), '64 blue\n1\n');
    await inside('web-server', 'echo both > /dev/shm/seen');
    assert.equal(await inside('web-client', 'cat /dev/shm/seen'), 'both\n');
    const [server] = JSON.parse(await ok('inspect', 'web-server'));
    assert.deepEqual(
      [server.HostConfig.Memory, server.HostConfig.NanoCpus, server.HostConfig.MemoryReservation],
      [64 << 20, 5e8, 32 << 20],
    );
    assert.equal(server.HostConfig.RestartPolicy.Name, 'always');
    for (let tries = 0; ; tries++) {
      const [{ State }] = JSON.parse(await ok('inspect', 'web-server'));
      if (State.Health.Status === 'healthy') break;
      assert.ok(tries < 300, JSON.stringify(State.Health));
      await sleep(100);
    }
    assert.equal(await ok('ps', '-a', '--format', '{{.Names}}', '--filter', 'label=gantry.kube.role=init'), '');

    // the other pod finds it by its Service's name; the same name is taken
    await ok(
      'kube',
      'play',
      file(
        'other.yaml',
        'apiVersion: v1\nkind: Pod\nmetadata: { name: other }\nspec: { terminationGracePeriodSeconds: 0, restartPolicy: Never, containers: [{ name: c, image: busybox, command: [sleep, "1000"] }] }\n',
      ),
    );
    const service = await gantry('exec', 'other-c', 'wget', '-q', '-O', '-', 'http://web/index.html');
    assert.equal(service.stdout, 'hello-web\n', service.stderr);
    assert.match((await gantry('kube', 'play', path)).stderr, /pod web exists: replace it \(--replace\)/);
    await ok('kube', 'play', '--replace', path);
    assert.equal(await inside('web-client', 'cat /data/log'), 'prepared\nprepared\n');

    const grep = spawnSync('grep', ['-rlaF', '--devices=skip', SECRET, daemon.directory], { encoding: 'utf8' });
    assert.deepEqual([grep.status, grep.stdout], [1, '']);
    assert.equal(await ok('kube', 'play', '--down', path), 'web\n');
    assert.equal(await ok('volume', 'ls', '-q'), 'web-data\n');
    assert.equal(await ok('secret', 'ls', '-q'), '');
    await ok('kube', 'play', '--down', '--force', path);
    assert.equal(await ok('volume', 'ls', '-q'), '');
    await ok('kube', 'play', '--down', join(directory, 'other.yaml'));
    assert.equal(await ok('ps', '-aq'), '');
  });

  test('links that a container put into the volume of a ConfigMap lead nowhere else (CVE-2025-9566)', async () => {
    const victim = file('victim', 'of the host');
    const before = fs.readdirSync(directory).sort();
    await ok('volume', 'create', 'linked-conf');
    const script = `ln -s ${victim} /v/app.conf; ln -s ${directory} /v/sub; ln -s ../../../../../../../.. /v/up`;
    await ok('run', '--rm', '--network', 'none', '-v', 'linked-conf:/v', 'busybox', 'sh', '-c', script);
    const pod = `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { conf: new, other: other }
---
apiVersion: v1
kind: Pod
metadata: { name: linked }
spec:
  terminationGracePeriodSeconds: 0
  containers: [{ name: c, image: busybox, command: [sleep, '1000'], volumeMounts: [{ name: conf, mountPath: /conf }] }]
  volumes:
    - name: conf
      configMap: { name: settings, items: [{ key: conf, path: app.conf }, { key: other, path: sub/new }, { key: other, path: up${directory}/new }] }
`;
    const path = file('linked.yaml', pod);
    const { code, stderr } = await gantry('kube', 'play', path);
    assert.equal(code, 1);
    assert.match(stderr, /the volume linked-conf has files/);
    assert.equal(await ok('ps', '-aq'), '');
    assert.equal(fs.readFileSync(victim, 'utf8'), 'of the host');
    assert.deepEqual(fs.readdirSync(directory).sort(), [...before, 'linked.yaml'].sort());
    await ok('volume', 'rm', 'linked-conf');
    assert.equal(await ok('volume', 'ls', '-q'), '');
  });

  test('a subPath of a hostPath is found inside it, whatever links a container left there (CVE-2021-25741)', async () => {
    const host = join(directory, 'host-path');
    const secret = file('host-secret', 'of the host');
    fs.mkdirSync(join(host, 'real'), { recursive: true });
    fs.writeFileSync(join(host, 'real', 'f'), 'inside');
    const links = `ln -s ${directory} /h/abs; ln -s ../../../../../../../../..${directory} /h/up; ln -s ${secret} /h/file; ln -s real /h/ok`;
    await ok('run', '--rm', '--network', 'none', '-v', `${host}:/h`, 'busybox', 'sh', '-c', links);
    const pod = (subPath: string, type: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: part }
spec:
  terminationGracePeriodSeconds: 0
  restartPolicy: Never
  containers: [{ name: c, image: busybox, command: [sleep, '1000'], volumeMounts: [{ name: h, mountPath: /p, subPath: ${subPath} }] }]
  volumes: [{ name: h, hostPath: { path: ${host}, type: ${type} } }]
`;
    for (const type of ['Directory', 'DirectoryOrCreate']) {
      for (const subPath of ['abs', 'abs/host-secret', 'up', 'up/host-secret', 'file']) {
        const { code, stderr } = await gantry('kube', 'play', file('part.yaml', pod(subPath, type)));
        if (code === 0) {
          assert.equal(await inside('part-c', 'cat /p /p/* 2>/dev/null; true'), '', `${type} ${subPath}`);
          await ok('kube', 'play', '--down', join(directory, 'part.yaml'));
        } else assert.match(stderr, /escapes the base directory|cannot access path|creating mount source/, subPath);
        assert.equal(await ok('ps', '-aq'), '');
      }
    }
    const path = file('part.yaml', pod('ok/made', 'DirectoryOrCreate'));
    await ok('kube', 'play', path);
    await inside('part-c', 'echo new > /p/f');
    assert.equal(fs.readFileSync(join(host, 'real', 'made', 'f'), 'utf8'), 'new\n');
    assert.match(await ok('kube', 'generate', 'part'), /path: .*host-path[^]*subPath: ok\/made|subPath: ok\/made/);
    await ok('kube', 'play', '--down', path);
    assert.equal(fs.readFileSync(secret, 'utf8'), 'of the host');
  });

  test('a failure leaves nothing, and says why', async () => {
    const pod = (spec: string, kind = 'Pod'): string =>
      kind === 'Pod'
        ? `apiVersion: v1\nkind: Pod\nmetadata: { name: bad }\nspec: ${spec}\n`
        : `apiVersion: apps/v1\nkind: ${kind}\nmetadata: { name: bad }\nspec: ${spec}\n`;
    const c = 'name: c, image: busybox, command: [sleep, "1000"]';
    const refused: readonly (readonly [string, RegExp])[] = [
      [
        pod(
          `{ initContainers: [{ name: i, image: busybox, command: [sh, -c, 'echo my last words; exit 3'] }], containers: [{ ${c} }] }`,
        ),
        /init container i ended with code 3, and nothing of the pod was kept. It said:\nmy last words/,
      ],
      [
        pod(`{ containers: [{ ${c}, envFrom: [{ configMapRef: { name: nosuch } }] }] }`),
        /there is no ConfigMap nosuch in the file/,
      ],
      [pod(`{ containers: [{ ${c}, volumeMounts: [{ name: x, mountPath: /x }] }] }`), /there is no volume x to mount/],
      [
        pod(`{ containers: [{ ${c} }], volumes: [{ name: x, nfs: { server: a, path: /b } }] }`),
        /volume x: nfs is not there on one machine/,
      ],
      [
        pod(`{ containers: [{ ${c} }], volumes: [{ name: x, secret: { secretName: nosuch } }] }`),
        /there is no Secret nosuch: add it to the file, or make it with/,
      ],
      [pod(`{ containers: [{ ${c}, resources: { limits: { memory: lots } } }] }`), /invalid quantity "lots"/],
      [pod(`{ containers: [{ ${c}, securityContext: { runAsNonRoot: true } }] }`), /runAsNonRoot needs runAsUser/],
      [
        pod(
          `{ containers: [{ ${c}, volumeMounts: [{ name: x, mountPath: /x, subPath: a/../../b }] }], volumes: [{ name: x, hostPath: { path: ${directory} } }] }`,
        ),
        /"a\/\.\.\/\.\.\/b" is no subPath of x/,
      ],
      [
        `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: up }\ndata: { ../up: x }\n---\n${pod(`{ containers: [{ ${c} }], volumes: [{ name: x, configMap: { name: up } }] }`)}`,
        /"\.\.\/up" is no name of a file/,
      ],
      [pod('{ containers: [] }'), /pod bad has no containers/],
      [
        pod(`{ replicas: 3, template: { spec: { containers: [{ ${c} }] } } }`, 'Deployment'),
        /Deployment bad: 3 replicas on one machine would be one/,
      ],
      ['a: [', /bad.yaml:1:\d+:/],
      ['services: {}', /an object has no kind or apiVersion/],
    ];
    for (const [text, words] of refused) {
      const { code, stderr } = await gantry('kube', 'play', file('bad.yaml', text));
      assert.equal(code, 1, text);
      assert.match(stderr, words);
      assert.equal(await ok('ps', '-aq'), '', text);
    }
    assert.equal(await ok('volume', 'ls', '-q'), '');
  });

  test('what compose convert writes can be played: the dependency is waited for', async () => {
    const compose = file(
      'compose.yaml',
      `
name: stack
services:
  web: { stop_grace_period: 1s, image: busybox, command: sh -c "wget -q -O /dev/stdout http://db:5432/; sleep 1000", depends_on: [db] }
  db: { stop_grace_period: 1s, image: busybox, command: sh -c "sleep 1; echo data > /srv/index.html; httpd -f -p 5432 -h /srv", expose: ["5432"], volumes: ["data:/srv"] }
volumes: { data: {} }
`,
    );
    const { stdout } = await gantry('compose', '-f', compose, 'convert', '--to', 'kubernetes');
    const manifests = file('stack.yaml', stdout.replaceAll('busybox:1', 'busybox'));
    const { code, stderr } = await gantry('kube', 'play', manifests);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /NetworkPolicy network-default has no meaning on one machine/);
    for (let tries = 0; !(await ok('logs', 'web-pod-web')).includes('data'); tries++) {
      assert.ok(tries < 300, 'the database was not reached');
      await sleep(100);
    }
    await ok('kube', 'play', '--down', '--force', manifests);
    assert.equal(await ok('ps', '-aq'), '');
  });

  test('a failed liveness probe begins the container anew, and a boot the whole pod', async () => {
    const path = file(
      'live.yaml',
      `apiVersion: v1
kind: Pod
metadata: { name: live }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: c
      image: busybox
      command: [sh, -c, 'touch /well; sleep 1000']
      livenessProbe: { exec: { command: [test, -e, /well] }, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 30 }
    - { name: ready, image: busybox, command: [sleep, '1000'], readinessProbe: { exec: { command: ['true'] } } }
`,
    );
    await ok('kube', 'play', path);
    const state = async (name: string): Promise<Manifest> => JSON.parse(await ok('inspect', name))[0];
    assert.equal((await state('live-c')).Config.Labels['gantry.on-unhealthy'], 'restart');
    assert.equal((await state('live-ready')).Config.Labels['gantry.on-unhealthy'], undefined);
    const until = async (condition: () => Promise<boolean>, what: string): Promise<void> => {
      for (let tries = 0; !(await condition()); tries++) {
        assert.ok(tries < 600, what);
        await sleep(100);
      }
    };
    const began = (await state('live-c')).State.StartedAt;
    await inside('live-c', 'rm /well');
    await until(async () => {
      const { State } = await state('live-c');
      return State.StartedAt !== began && State.Running;
    }, 'another run');

    const names = ['live-infra', 'live-c', 'live-ready'];
    const before_ = await Promise.all(names.map(state));
    await daemon.kill();
    for (const { State } of before_) process.kill(State.Pid, 'SIGKILL');
    await daemon.start();
    await until(
      async () => (await Promise.all(names.map(state))).every(({ State }) => State.Running),
      'a pod that runs',
    );
    const [infra, c, ready] = (await Promise.all(names.map(state))).map(({ State }) => Date.parse(State.StartedAt));
    assert.ok(infra! <= c! && infra! <= ready!, `infra first: ${infra} ${c} ${ready}`);
    const [a, b] = await Promise.all(names.slice(1).map((name) => inside(name, 'readlink /proc/self/ns/net')));
    assert.equal(a, b, 'one network');
    await ok('kube', 'play', '--down', path);
    assert.equal(await ok('ps', '-aq'), '');
  });

  test('generate: a container and a pod as manifests that are valid and can be played', async () => {
    await ok(
      'run',
      '-d',
      '--name',
      'hand',
      '-v',
      'kept:/kept',
      '--tmpfs',
      '/fast',
      '-m',
      '64m',
      '--cpus',
      '0.5',
      '-u',
      '7:8',
      '--read-only',
      '--cap-drop',
      'ALL',
      '-e',
      'A=$(x)',
      '--health-cmd',
      'true',
      '--restart',
      'always',
      '-p',
      '127.0.0.1::80',
      'busybox',
      'sleep',
      '1000',
    );
    const [claim, service, pod] = await validated(await ok('kube', 'generate', '-s', 'hand'));
    assert.deepEqual([claim.kind, service.kind, pod.kind], ['PersistentVolumeClaim', 'Service', 'Pod']);
    const [container] = pod.spec.containers;
    assert.deepEqual(container.args, ['sleep', '1000']);
    assert.deepEqual(container.env, [{ name: 'A', value: '$$(x)' }]);
    assert.deepEqual(container.resources.limits, { cpu: '500m', memory: String(64 << 20) });
    assert.deepEqual(container.securityContext, {
      runAsUser: 7,
      runAsGroup: 8,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    assert.deepEqual(container.livenessProbe.exec.command, ['/bin/sh', '-c', 'true']);
    assert.equal(pod.spec.restartPolicy, 'Always');
    const [, deployment] = await validated(await ok('kube', 'generate', '-t', 'deployment', 'hand'));
    assert.equal(deployment.spec.template.spec.containers[0].name, 'hand');
    const again = file('again.yaml', await ok('kube', 'generate', 'hand'));
    await ok('rm', '-f', 'hand');
    await ok('kube', 'play', again);
    assert.equal(await inside('hand-hand', 'echo "$A"; id -u'), '$(x)\n7\n');
    const [, played] = await validated(await ok('kube', 'generate', 'hand'));
    assert.deepEqual(played.spec.containers[0].args, ['sleep', '1000']);
    await ok('kube', 'play', '--down', '--force', again);
    assert.match((await gantry('kube', 'generate', 'nosuch')).stderr, /No such container: nosuch/);
  });
});
