import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageRunConfig } from '../../oci/image.ts';
import { applyChanges } from './changes.ts';

// What dockerd 28.5 made of the same words.
for (const [change, expected] of [
  ['CMD ["a","b"]', { Cmd: ['a', 'b'] }],
  ['CMD a b', { Cmd: ['/bin/sh', '-c', 'a b'] }],
  ['cmd x', { Cmd: ['/bin/sh', '-c', 'x'] }],
  ['ENTRYPOINT x y', { Entrypoint: ['/bin/sh', '-c', 'x y'], Cmd: null }],
  ['ENV A=b C="d e"', { Env: ['A=b', 'C=d e'] }],
  ['ENV A b c', { Env: ['A=b c'] }],
  ['ENV A=b\\ c', { Env: ['A=b c'] }],
  ['ENV A=$HOME', { Env: ['A='] }],
  ['EXPOSE 80 53/udp', { ExposedPorts: { '80/tcp': {}, '53/udp': {} } }],
  ['EXPOSE 80-81/tcp', { ExposedPorts: { '80/tcp': {}, '81/tcp': {} } }],
  ['LABEL x=y "q r"=z', { Labels: { x: 'y', 'q r': 'z' } }],
  ['ONBUILD RUN x', { OnBuild: ['RUN x'] }],
  ['USER u:g', { User: 'u:g' }],
  ['VOLUME /a /b', { Volumes: { '/a': {}, '/b': {} } }],
  ['VOLUME ["/c"]', { Volumes: { '/c': {} } }],
  ['WORKDIR /w', { WorkingDir: '/w' }],
  ['WORKDIR rel', { WorkingDir: '/rel' }],
  ['HEALTHCHECK --interval=5s CMD x y', { Healthcheck: { Test: ['CMD-SHELL', 'x y'], Interval: 5e9 } }],
  ['HEALTHCHECK NONE', { Healthcheck: { Test: ['NONE'] } }],
  ['STOPSIGNAL SIGUSR1', { StopSignal: 'SIGUSR1' }],
] as const) {
  test(change, () => assert.deepEqual(applyChanges({}, [change]), expected));
}

for (const [change, message] of [
  ['RUN x', 'RUN is not a valid change command'],
  ['BOGUS x', 'BOGUS is not a valid change command'],
  ['SHELL ["x"]', 'SHELL is not a valid change command'],
  ['ENV', 'ENV requires at least one argument'],
  ['USER', 'USER requires exactly one argument'],
  ['EXPOSE x', 'Invalid containerPort: x'],
  ['EXPOSE 1-99999999999', 'Invalid containerPort: 1-99999999999'],
  ['HEALTHCHECK CMD', 'Missing command after HEALTHCHECK CMD'],
  ['LABEL a', 'LABEL must have two arguments'],
  ['ONBUILD ONBUILD x', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
  ['STOPSIGNAL NOPE', 'invalid signal: NOPE'],
] as const) {
  test(`${change} is refused`, () => {
    assert.throws(() => applyChanges({}, [change]), { code: 'invalid-argument', message });
  });
}

test('changes go on from what was there', () => {
  const before: ImageRunConfig = { Env: ['PATH=/bin', 'A=1'], WorkingDir: '/w', Cmd: ['old'], Labels: { a: '1' } };
  const after = applyChanges(before, ['ENV A=2 B=$A', 'WORKDIR sub', 'LABEL __proto__=x', 'ENTRYPOINT ["e"]']);
  assert.deepEqual(after.Env, ['PATH=/bin', 'A=2', 'B=1']);
  assert.equal(after.WorkingDir, '/w/sub');
  assert.equal(after.Cmd, null);
  assert.deepEqual(Object.keys(after.Labels!), ['a', '__proto__']);
  assert.deepEqual(before.Env, ['PATH=/bin', 'A=1']);
  assert.deepEqual(applyChanges(before, ['CMD ["c"]', 'ENTRYPOINT ["e"]']).Cmd, ['c']);
});
