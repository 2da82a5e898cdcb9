import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStages } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { shownStep } from '../../build/dockerfile/shown-step.ts';
import { planBuild } from '../../build/plan.ts';
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

function namesOf(text: string, contexts: Record<string, string> = {}): string[] {
  const dockerfile = readStages(parseDockerfile(text));
  const buildArgs = new Map([['V', '1']]);
  const known = new Set(Object.keys(contexts));
  const plan = planBuild(dockerfile, { buildArgs, platformArgs: new Map(), contexts: known });
  const names = new StepNames(plan, contexts, undefined);
  return plan.stages.flatMap(({ index, stage }) =>
    [{ kind: 'FROM', original: stage.original }, ...stage.instructions].flatMap((one, position) => {
      const shown = 'range' in one ? shownStep(one, (name) => buildArgs.get(name), dockerfile.escape) : one.original;
      const about = { id: 'x', text: one.original, shown, position, total: 9, line: 1 };
      const { name, metadata, taken } = names.next({ ...about, stage: { index, name: stage.name } });
      return [...metadata, taken, name].filter((line) => line !== undefined);
    }),
  );
}

test('steps are named and counted as BuildKit does', () => {
  const busybox = 'docker.io/library/busybox:latest';
  assert.deepEqual(namesOf('FROM busybox AS one\nENV A=1\nRUN x \\\n  y\nFROM one\nWORKDIR /w\n'), [
    `[internal] load metadata for ${busybox}`,
    `[one 1/2] FROM ${busybox}`,
    '[one 2/2] RUN x   y',
    '[stage-1 1/1] WORKDIR /w',
  ]);
  // One stage needs no name; an image that files are taken from is a stage.
  assert.deepEqual(namesOf('FROM scratch AS one\nADD a /\n'), ['[1/1] ADD a /']);
  assert.deepEqual(namesOf('FROM scratch\nCOPY --from=busybox /a /\nCOPY --from=busybox:latest /b /\n'), [
    `[internal] load metadata for ${busybox}`,
    `FROM ${busybox}`,
    '[stage-0 1/2] COPY --from=busybox /a /',
    '[stage-0 2/2] COPY --from=busybox:latest /b /',
  ]);
  assert.deepEqual(namesOf('FROM scratch\nRUN --mount=type=cache,target=/c x\n'), [
    '[stage-0 1/1] RUN --mount=type=cache,target=/c x',
  ]);
  // Of stages with the same image the last that is reached names it.
  assert.deepEqual(
    namesOf('FROM busybox AS a\nRUN x\nFROM busybox\nCOPY --from=a /x /\n').filter((name) => / FROM /.test(name)),
    [`[a 1/2] FROM ${busybox}`],
  );
  assert.deepEqual(namesOf('FROM base AS x\nRUN y\n', { base: 'docker-image://busybox' }), [
    '[context base] load metadata for busybox',
    '[context base] busybox',
    '[1/2] RUN y',
  ]);
});

test('steps are shown with the values of variables, and without those of secrets', () => {
  const shown = (line: string): string | undefined =>
    namesOf(`FROM scratch\n${line}\n`)
      .at(-1)
      ?.replace(/^.*?\] /, '');
  assert.equal(
    shown('RUN echo $V ${V} "$V" \'$V\' \\$V $W ${W:-x} $(date ${x^^})'),
    'RUN echo $V ${V} "$V" \'$V\' \\$V $W ${W:-x} $(date ${x^^})',
  );
  assert.equal(shown('RUN echo $V ${V} "$V" \'$V\' \\$V $W ${W:-x}'), 'RUN echo 1 1 "1" \'$V\' $V $W ${W:-x}');
  assert.equal(shown('RUN --mount=type=secret,id=s,env=V echo $V'), 'RUN --mount=type=secret,id=s,env=V echo ****');
  assert.equal(shown('COPY a$V "b$W" /'), 'COPY a1 b /');
  assert.equal(shown('RUN <<E\n\necho one\necho two\nE'), 'RUN <<E (echo one...)');
});
