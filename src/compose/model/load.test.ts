import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { canonicalModel, canonicalYaml } from './canonical.ts';
import { serviceHash } from './hash.ts';
import { loadProject } from './load.ts';
import { asDict } from './value.ts';

function load(t: TestContext, text: string, env: Record<string, string> = {}): ReturnType<typeof loadProject> {
  const cwd = mkdtempSync(join(tmpdir(), 'gantry-compose-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  writeFileSync(join(cwd, 'compose.yaml'), text);
  return loadProject({ files: [], envFiles: [], profiles: [], cwd, env, warn: () => {} });
}

test('short forms become long, and variables get their values', (t) => {
  const { model } = load(
    t,
    'name: demo\nservices:\n  web:\n    image: busybox:${TAG:-latest}\n    command: sh -c "echo $$HOME"\n    ports: ["8080:80"]\n',
  );
  assert.equal(
    canonicalYaml(canonicalModel(model)),
    `name: demo
services:
  web:
    command:
      - sh
      - -c
      - echo $$HOME
    image: busybox:latest
    networks:
      default: null
    ports:
      - mode: ingress
        target: 80
        published: "8080"
        protocol: tcp
networks:
  default:
    name: demo_default
`,
  );
});

test('files that are not interpolated are merged whatever their forms', (t) => {
  const cwd = mkdtempSync(join(tmpdir(), 'gantry-compose-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  writeFileSync(
    join(cwd, 'compose.yaml'),
    'services:\n  web: {image: x, labels: [a=1, b], environment: ["A=${A}", B], dns: 1.1.1.1, depends_on: [db], build: {context: ., args: [C]}}\n  db: {image: x}\n',
  );
  writeFileSync(
    join(cwd, 'compose.override.yaml'),
    'services:\n  web: {labels: {c: "2"}, environment: {A: "2"}, dns: [2.2.2.2], depends_on: {db: {condition: service_healthy}}, build: {args: {D: "${D}"}}}\n',
  );
  const { model } = loadProject({
    files: [],
    envFiles: [],
    profiles: [],
    cwd,
    env: {},
    warn: () => {},
    interpolate: false,
  });
  const { labels, environment, dns, depends_on, build } = asDict(asDict(model['services'])['web']);
  assert.deepEqual(JSON.parse(JSON.stringify({ labels, environment, dns, depends_on, args: asDict(build)['args'] })), {
    labels: { a: '1', b: '', c: '2' },
    environment: { A: '2', B: null },
    dns: ['1.1.1.1', '2.2.2.2'],
    depends_on: { db: { condition: 'service_healthy' } },
    args: { C: null, D: '${D}' },
  });
});

test("a service's fingerprint is that of Docker's Compose", (t) => {
  const { model } = load(
    t,
    'name: demo\nservices:\n  db: {image: busybox, environment: ["FOO=bar", HOME, "ZZ"], restart: always, user: "1:1", privileged: true, cap_add: [ALL], hostname: h, init: true}\n',
    { HOME: '/root' },
  );
  assert.equal(
    serviceHash(asDict(asDict(model['services'])['db'])),
    'e2de359d60b7b98c1451c7506a2181af4cd4bbf227e95fdbde8c9f1f93f82821',
  );
});

test('errors name file, line and column', (t) => {
  assert.throws(
    () => load(t, 'services:\n  web:\n    imagee: busybox\n'),
    /compose\.yaml:3:5: services\.web\.imagee|compose\.yaml:3:5: services\.web additional properties 'imagee' not allowed/,
  );
  assert.throws(
    () => load(t, 'services:\n  web:\n    image: ${NO:?say it}\n'),
    /:3:12: required variable NO is missing a value: say it/,
  );
  assert.throws(
    () => load(t, 'services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n'),
    /dependency cycle detected: a -> b -> a/,
  );
});
