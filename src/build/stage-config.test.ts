import assert from 'node:assert/strict';
import test from 'node:test';
import type { ImageRunConfig } from '../oci/image.ts';
import { readStages } from './dockerfile/instructions.ts';
import { parseDockerfile } from './dockerfile/parse.ts';
import { changeConfig, StageConfig, variable } from './stage-config.ts';

function configOf(lines: string, start: ImageRunConfig = {}): ImageRunConfig {
  const [stage] = readStages(parseDockerfile(`FROM scratch\n${lines}`)).stages;
  return stage!.instructions.reduce(
    (config, instruction) => changeConfig(config, instruction, (name) => variable(config, name))!.config,
    new StageConfig(start),
  ).whole;
}

const CASES: readonly [lines: string, start: ImageRunConfig, expected: ImageRunConfig][] = [
  ['ENV A=1 B=$A', {}, { Env: ['A=1', 'B='] }],
  ['ENV A=1\nENV B=${A}2 A=3', {}, { Env: ['A=3', 'B=12'] }],
  [
    'ENV PATH="/opt/venv/bin:$PATH"',
    {},
    { Env: ['PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] },
  ],
  ['WORKDIR /a\nWORKDIR b\nWORKDIR ../c', {}, { WorkingDir: '/a/c' }],
  [
    'EXPOSE 80 53/udp 8000-8001',
    { ExposedPorts: { '22/tcp': {} } },
    { ExposedPorts: { '22/tcp': {}, '80/tcp': {}, '53/udp': {}, '8000/tcp': {}, '8001/tcp': {} } },
  ],
  ['ENTRYPOINT ["x"]', { Cmd: ['old'] }, { Entrypoint: ['x'], Cmd: null }],
  ['ENTRYPOINT ["x"]\nCMD y z', {}, { Entrypoint: ['x'], Cmd: ['/bin/sh', '-c', 'y z'] }],
  ['SHELL ["bash", "-ec"]\nCMD y', {}, { Shell: ['bash', '-ec'], Cmd: ['bash', '-ec', 'y'] }],
  [
    'LABEL a=1 __proto__=2',
    {},
    {
      Labels: Object.fromEntries([
        ['a', '1'],
        ['__proto__', '2'],
      ]),
    },
  ],
  ['HEALTHCHECK --interval=5s CMD curl x', {}, { Healthcheck: { Test: ['CMD-SHELL', 'curl x'], Interval: 5e9 } }],
  ['HEALTHCHECK NONE', {}, { Healthcheck: { Test: ['NONE'] } }],
  ['VOLUME /data /x\nVOLUME ["/y z"]', {}, { Volumes: { '/data': {}, '/x': {}, '/y z': {} } }],
  ['USER app:app\nSTOPSIGNAL SIGINT', {}, { User: 'app:app', StopSignal: 'SIGINT' }],
];
for (const [lines, start, expected] of CASES) {
  test(`changeConfig() ${lines}`, () => assert.deepEqual(configOf(lines, start), expected));
}

test('changeConfig() refuses ports that are none', () => {
  assert.throws(() => configOf('EXPOSE 99999'), /Invalid containerPort: 99999/);
});
