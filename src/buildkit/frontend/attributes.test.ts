import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStages } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { readAttributes } from './attributes.ts';
import { contextPaths } from './context-paths.ts';
import { StepNames } from './step-names.ts';

test('attributes of a frontend become the request of a build', () => {
  const { request, ...options } = readAttributes({
    filename: 'Dockerfile.dev',
    target: 'app',
    'build-arg:A': '1',
    'label:l': 'v',
    'no-cache': '',
    'add-hosts': 'db=10.0.0.1,"x=::1"',
    ulimit: 'nofile=10:20',
    'shm-size': '64',
    memory: '1000',
    'force-network-mode': 'none',
    platform: 'linux/amd64,linux/arm64',
    'vcs:source': 'x',
    'context:base': 'docker-image://alpine',
    surprise: '1',
  });
  assert.deepEqual(request, {
    buildArgs: { A: '1' },
    labels: { l: 'v' },
    extraHosts: ['db:10.0.0.1', 'x:::1'],
    ulimits: [{ Name: 'nofile', Soft: 10, Hard: 20 }],
    pull: false,
    target: 'app',
    noCache: true,
    networkMode: 'none',
    shmSize: 64,
    limits: { memory: 1000 },
  });
  assert.equal(options.filename, 'Dockerfile.dev');
  assert.equal(options.multiPlatform, true);
  assert.deepEqual(options.contexts, { base: 'docker-image://alpine' });
  assert.deepEqual(options.unknown, ['surprise']);
});

test('attributes that make no sense are refused', () => {
  const refused: readonly Record<string, string>[] = [
    { 'force-network-mode': 'bridge' },
    { ulimit: 'nofile' },
    { 'add-hosts': 'x' },
    { 'shm-size': 'much' },
    { 'image-resolve-mode': 'never' },
    { 'cache-imports': '{' },
    { platform: 'a/b,c/d', 'multi-platform': 'false' },
  ];
  for (const attributes of refused) assert.throws(() => readAttributes(attributes), { code: 'invalid-argument' });
});

const stages = (text: string) => readStages(parseDockerfile(text)).stages;

test('only the paths that a Dockerfile takes are asked for', () => {
  const take = (text: string) => contextPaths(stages(text));
  assert.deepEqual(take('FROM a\nCOPY src/ ./b.txt /x/\nADD https://x/y /z\nCOPY --from=b /q /q\n'), ['src', 'b.txt']);
  assert.deepEqual(take('FROM a\nRUN --mount=type=bind,source=lib,target=/l --mount=type=cache,target=/c true\n'), [
    'lib',
  ]);
  assert.deepEqual(take('FROM a\nRUN true\n'), []);
  for (const whole of ['COPY . /', 'COPY $X /', 'RUN --mount=target=/src true', 'ONBUILD COPY a /', 'ADD / /x'])
    assert.equal(take(`FROM a\n${whole}\n`), undefined, whole);
});

test('steps are named and counted as BuildKit does', () => {
  const names = new StepNames(stages('FROM busybox AS one\nENV A=1\nRUN x \\\n  y\nFROM one\nWORKDIR /w\n'), undefined);
  const vertex = (index: number, name: string | undefined, text: string) =>
    names.next({ id: 'x', text, stage: { index, name }, position: 0, total: 9, line: 1 });
  assert.equal(vertex(0, 'one', 'FROM busybox AS one'), '[one 1/2] FROM docker.io/library/busybox:latest');
  assert.equal(vertex(0, 'one', 'ENV A=1'), undefined);
  assert.equal(vertex(0, 'one', 'RUN x \\\n  y'), '[one 2/2] RUN x y');
  assert.equal(vertex(1, undefined, 'FROM one'), undefined);
  assert.equal(vertex(1, undefined, 'WORKDIR /w'), '[stage-1 1/1] WORKDIR /w');
});
