import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequest } from '../run.ts';
import { engineConfig } from '../config.ts';
import { fillHostConfig, mergeConfig } from './create.ts';

test('mergeConfig() takes from the image what the request leaves open', () => {
  const image = {
    Env: ['PATH=/bin', 'A=image'],
    Cmd: ['serve'],
    Entrypoint: ['/entry'],
    WorkingDir: '/app',
    User: 'app',
    ExposedPorts: { '80/tcp': {} },
    Labels: { a: 'image', b: 'image' },
    Healthcheck: { Test: ['CMD', 'probe'], Interval: 5, Retries: 2 },
    StopSignal: 'SIGQUIT',
  };
  const merged = mergeConfig(
    { Env: ['A=request'], ExposedPorts: { '81/udp': {} }, Labels: { a: 'request' }, Healthcheck: { Retries: 9 } },
    image,
  );
  assert.deepEqual(merged.Env, ['A=request', 'PATH=/bin']);
  assert.deepEqual(
    [merged.Entrypoint, merged.Cmd, merged.WorkingDir, merged.User],
    [['/entry'], ['serve'], '/app', 'app'],
  );
  assert.deepEqual(merged.ExposedPorts, { '80/tcp': {}, '81/udp': {} });
  assert.deepEqual(merged.Labels, { a: 'request', b: 'image' });
  assert.deepEqual(merged.Healthcheck, { Test: ['CMD', 'probe'], Interval: 5, Retries: 9 });
  assert.equal(merged.StopSignal, 'SIGQUIT');
});

test('an entrypoint of the request drops the image’s command, an empty one drops both', () => {
  const image = { Cmd: ['serve'], Entrypoint: ['/entry'] };
  const other = mergeConfig({ Entrypoint: ['/other'] }, image);
  assert.deepEqual([other.Entrypoint, other.Cmd], [['/other'], null]);
  const none = mergeConfig({ Entrypoint: [''], Cmd: ['sh'] }, image);
  assert.deepEqual([none.Entrypoint, none.Cmd], [null, ['sh']]);
  const list = mergeConfig({ Entrypoint: [] }, image);
  assert.deepEqual([list.Entrypoint, list.Cmd], [[], ['serve']]);
});

test('labels by which pods are found are not taken from an image', () => {
  const { Labels } = mergeConfig(
    { Labels: { 'gantry.kube.role': 'app' } },
    { Labels: { 'gantry.kube.pod': 'victim', kept: '1' } },
  );
  assert.deepEqual(Labels, { 'gantry.kube.role': 'app', kept: '1' });
});

test('labels may have any name', () => {
  const merged = mergeConfig({ Labels: JSON.parse('{"__proto__":"x"}') as Record<string, string> }, undefined);
  assert.deepEqual(Object.entries(merged.Labels!), [['__proto__', 'x']]);
});

test('fillHostConfig() fills in what inspect shows', () => {
  const config = engineConfig({ dataRoot: '/d', defaultRuntime: 'runc' });
  const filled = fillHostConfig({ Memory: 100, NetworkMode: 'default', PidsLimit: -1, MemorySwappiness: -1 }, config);
  assert.deepEqual(
    [filled.NetworkMode, filled.MemorySwap, filled.PidsLimit, filled.MemorySwappiness, filled.Runtime],
    ['bridge', 200, null, null, 'runc'],
  );
});

test('createRequest() turns the short form into the document', () => {
  const request = createRequest({
    image: 'web',
    env: { A: '1' },
    ports: { 80: '127.0.0.1:8080', '53/udp': 0 },
    cpus: 0.5,
  });
  assert.deepEqual(request.Env, ['A=1']);
  assert.deepEqual(request.HostConfig, {
    PortBindings: {
      '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }],
      '53/udp': [{ HostIp: '', HostPort: '' }],
    },
    NanoCpus: 500_000_000,
    AutoRemove: true,
  });
  assert.throws(() => createRequest({ image: 'web', ports: { 80: 'eighty' } }), { code: 'invalid-argument' });
});
