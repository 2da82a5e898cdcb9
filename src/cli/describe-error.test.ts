import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutRegistry } from './describe-error.ts';

test('where no registry can be reached, what can be had without one is told', () => {
  const told = withoutRegistry(
    'Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
  );
  assert.match(told ?? '', /gantry image bootstrap debian:bookworm-slim/);
  const inBuild =
    'cannot get the image a:1: Get "http://10.0.0.9:5000/v2/a/manifests/1": dial tcp 10.0.0.9:5000: i/o timeout';
  assert.match(withoutRegistry(inBuild) ?? '', /gantry load/);
});

test('other failures are not the registry’s', () => {
  for (const message of [
    'Error response from daemon: No such image: a:1',
    'Error response from daemon: pull access denied for a, repository does not exist',
    'Get "https://example.com/file": dial tcp: lookup example.com: no such host',
  ])
    assert.equal(withoutRegistry(message), undefined);
});
